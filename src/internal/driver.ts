/**
 * The gate to the driver: the only module that imports `mongodb` at run time.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Driver from "mongodb"
import { CausalToken } from "../CausalToken.js"
import { MongoError } from "../MongoError.js"
import { SessionId } from "../SessionId.js"
import type * as SessionOptions from "../SessionOptions.js"
import type * as TransactionOptions from "../TransactionOptions.js"
import { isDriverFailure, toCause, toMongoError } from "./failure.js"

/**
 * Builds a client, without connecting it. Whatever the driver has against its URL or options becomes a MongoError: the
 * constructor also throws errors of the URL parsers below it, and says the same of an option as of a URL.
 */
export const makeClient = (
  url: Redacted.Redacted<string>,
  options: Driver.MongoClientOptions
): Effect.Effect<Driver.MongoClient, MongoError> =>
  Effect.suspend(() => {
    const build = (given: Driver.MongoClientOptions) =>
      Either.try(() => new Driver.MongoClient(Redacted.value(url), given))
    const refused = (reason: MongoError["reason"], cause: unknown) =>
      new MongoError({ reason, operation: "connect", labels: [], cause })
    const built = build(options)
    if (Either.isRight(built)) {
      return Effect.succeed(built.right)
    }
    const cause = built.left
    if (Either.isRight(build({}))) {
      return Effect.fail(refused("InvalidOptions", cause))
    }
    return Effect.fail(
      isDriverFailure(cause) && cause.name !== "MongoRuntimeError"
        ? toMongoError({ operation: "connect" }, cause)
        : refused("InvalidUrl", cause)
    )
  })

/**
 * Connects a client. An interruption does not wait: whoever interrupts closes the client. A client that is closed while
 * the driver still looks its hosts up connects nevertheless; `late` runs when an interrupted connecting has come to its
 * end.
 *
 * Before a server is asked, the driver looks hosts up and reads files; what the system has against it is a failure too.
 * The driver goes on looking for a better server until its time is up when all that there are have an unfit version;
 * this gives up at once.
 */
export const connect = (
  client: Driver.MongoClient,
  late: Effect.Effect<void> = Effect.void
): Effect.Effect<void, MongoError> =>
  Effect.async<void, MongoError>((resume) => {
    const watch = ({ newDescription }: Driver.TopologyDescriptionChangedEvent): void => {
      const errors = [...newDescription.servers.values()].map(({ error }) => error)
      const first = errors[0]
      if (first && errors.every((error) => error?.name === "MongoCompatibilityError")) {
        resume(Effect.fail(toMongoError({ operation: "connect" }, first)))
      }
    }
    client.on("topologyDescriptionChanged", watch)
    const unwatch = (): void => void client.off("topologyDescriptionChanged", watch)
    const settled = client.connect().finally(unwatch).then(
      () => resume(Effect.void),
      (error: unknown) =>
        resume(
          error instanceof Error && "syscall" in error
            ? Effect.fail(
              new MongoError({
                reason: error.syscall === "open" || error.syscall === "read" ? "InvalidOptions" : "NetworkError",
                operation: "connect",
                labels: [],
                cause: error
              })
            )
            : Effect.failCause(toCause({ operation: "connect" }, error))
        )
    )
    return Effect.asVoid(Effect.forkDaemon(Effect.zipRight(Effect.promise(() => settled), late)))
  })

/**
 * Whether the driver can make session ids from a secure random source; bson would silently use `Math.random`. A source that
 * was found is not tried again, only another one in its place: to try it takes as long as to open a session.
 */
export const secureRandom = (): () => boolean => {
  let found: unknown
  return () => {
    try {
      const source: unknown = Reflect.get(globalThis.crypto, "getRandomValues")
      if (source === found && found !== undefined) return true
      if (globalThis.crypto.getRandomValues(new Uint8Array(16)).length !== 16) return false
      found = source
      return true
    } catch {
      return false
    }
  }
}

// However the client is set up, this library reads replies in this form; `ignoreUndefined` leaves the `lsid` out.
const replyOptions = {
  raw: false,
  promoteValues: true,
  promoteLongs: true,
  promoteBuffers: false,
  useBigInt64: false,
  ignoreUndefined: true
} as const

/**
 * Runs a command on the `admin` database without any session, or in a transaction that the driver has done with.
 *
 * The driver lends an implicit session to every command that comes without one. This one is given a driver session that
 * lends no server session, so that no `lsid` goes out and none is taken from the pool; or one that lends the id and the
 * transaction number that are named.
 */
export const adminCommand = async (
  client: Driver.MongoClient,
  command: Driver.Document,
  signal: AbortSignal,
  of?: { readonly lsid: Driver.ServerSessionId; readonly txnNumber: number }
): Promise<Driver.Document> => {
  const implicit: Driver.ClientSessionOptions & { readonly explicit: boolean } = { explicit: false }
  const session = client.startSession(implicit)
  Object.defineProperty(session, "serverSession", {
    value: { id: of?.lsid, lastUse: 0, txnNumber: of?.txnNumber ?? 0, isDirty: true }
  })
  try {
    return await client.db("admin").command(command, { ...replyOptions, session, signal })
  } finally {
    // Not `endSession`: it would give the stand-in to the pool.
    session.hasEnded = true
    session.emit("ended", session)
  }
}

/** Session options as `startSession` takes them. */
export const sessionOptions = (options: SessionOptions.Decoded): Driver.ClientSessionOptions => {
  const { causalConsistency, defaultTransactionOptions: defaults, snapshot } = options
  return {
    causalConsistency,
    snapshot,
    ...(defaults === undefined ? {} : { defaultTransactionOptions: transactionOptions(defaults) })
  }
}

/**
 * Transaction options as `startTransaction` takes them, made of fresh objects at each call: the driver writes the session's
 * causal time into the read concern that it is given, and a shared one would carry it into other sessions.
 */
export const transactionOptions = (options: TransactionOptions.Decoded): Driver.TransactionOptions => {
  const { maxCommitTime, readConcern, readPreference, writeConcern } = options
  return {
    ...(readConcern === undefined ? {} : { readConcern: { level: readConcern.level } }),
    ...(writeConcern === undefined ? {} : { writeConcern: toWriteConcern(writeConcern) }),
    ...(readPreference === undefined ? {} : { readPreference: toReadPreference(readPreference) }),
    ...(maxCommitTime === undefined ? {} : { maxCommitTimeMS: Duration.toMillis(maxCommitTime) })
  }
}

const toWriteConcern = (
  { journal, w, wtimeout }: NonNullable<TransactionOptions.Decoded["writeConcern"]>
): Driver.WriteConcern =>
  // The typings know no custom write concerns, which have names.
  new Driver.WriteConcern(w as Driver.W | undefined, wtimeout && Duration.toMillis(wtimeout), journal)

const toReadPreference = (
  { maxStalenessSeconds, mode, tags }: NonNullable<TransactionOptions.Decoded["readPreference"]>
): Driver.ReadPreference =>
  new Driver.ReadPreference(
    mode,
    tags?.map((set) => ({ ...set })),
    maxStalenessSeconds === undefined ? {} : { maxStalenessSeconds }
  )

/** The id in the form in which commands carry it. */
export const toLsid = (id: SessionId): { readonly id: Driver.Binary } => ({
  id: new Driver.Binary(id.bytes, Driver.Binary.SUBTYPE_UUID)
})

/** The causal times that a driver session has seen. */
export const causalTokenOf = (session: Driver.ClientSession): CausalToken =>
  new CausalToken({
    operationTime: Option.map(operationTimeOf(session), toBigInt),
    clusterTime: Option.map(Option.fromNullable(session.clusterTime), (seen) => ({
      time: toBigInt(seen.clusterTime),
      hash: new Uint8Array(seen.signature?.hash.buffer ?? []),
      keyId: seen.signature === undefined ? 0n : BigInt(seen.signature.keyId.toString())
    }))
  })

/** Moves the causal times of a driver session on; times that it has passed already change nothing. */
export const advance = (session: Driver.ClientSession, token: CausalToken): void => {
  if (Option.isSome(token.clusterTime)) {
    const { hash, keyId, time } = token.clusterTime.value
    session.advanceClusterTime({
      clusterTime: toTimestamp(time),
      signature: { hash: new Driver.Binary(hash), keyId: Driver.Long.fromBigInt(keyId) }
    })
  }
  if (Option.isSome(token.operationTime)) {
    session.advanceOperationTime(toTimestamp(token.operationTime.value))
  }
}

/** Gives a new driver session what an old one has seen, so that causal order and snapshot are kept. */
export const carryOver = (from: Driver.ClientSession, to: Driver.ClientSession): void => {
  advance(to, causalTokenOf(from))
  Option.map(snapshotTimeOf(from), (time) => setSnapshotTime(to, time))
}

const kept: unique symbol = Symbol("operationTime")
const known: unique symbol = Symbol("id")

// What the driver's sessions have, but its typings keep to itself; and what this library keeps in them.
interface Hidden {
  snapshotTime?: Driver.Timestamp | undefined
  [kept]?: Driver.Timestamp | undefined
  [known]?: { readonly of: Driver.ClientSession["serverSession"]; readonly id: SessionId } | undefined
  readonly transaction?: { readonly server?: { readonly description: { readonly address: string } } }
}

const hidden = (session: Driver.ClientSession): Hidden => session as Driver.ClientSession & Hidden

/** The id of a driver session. */
export const idOf = (session: Driver.ClientSession): SessionId => {
  const it = hidden(session)
  const { serverSession } = session
  // Every span needs it, and to write it out takes as long as to make the span.
  if (it[known]?.of !== serverSession) {
    it[known] = { of: serverSession, id: SessionId.fromBytes(serverSession.id.id.buffer) }
  }
  return it[known].id
}

/** The time whose data a snapshot session reads, once known. */
export const snapshotTimeOf = (session: Driver.ClientSession): Option.Option<Driver.Timestamp> =>
  Option.fromNullable(hidden(session).snapshotTime)

/** Makes a snapshot session read as of the given time; it must not have read yet. */
export const setSnapshotTime = (session: Driver.ClientSession, time: Driver.Timestamp): void => {
  hidden(session).snapshotTime = time
}

/** The time of the last operation, once there was one. */
export const operationTimeOf = (session: Driver.ClientSession): Option.Option<Driver.Timestamp> =>
  Option.fromNullable(hidden(session)[kept] ?? session.operationTime)

/**
 * Has a driver session that is not causally consistent keep the time of its last operation nevertheless, as the specification
 * "Causal Consistency" asks for. The driver keeps it only where it also reads as of it: so it is let keep it, but finds none.
 */
export const keepOperationTime = (session: Driver.ClientSession): void => {
  const it = hidden(session)
  session.supports.causalConsistency = true
  Object.defineProperty(session, "operationTime", {
    get: () => undefined,
    set: (time: Driver.Timestamp) => {
      if (it[kept]?.greaterThanOrEqual(time) !== true) it[kept] = time
    }
  })
}

/** The address of the mongos that a sharded transaction is pinned to. */
export const pinnedAddressOf = (session: Driver.ClientSession): Option.Option<string> =>
  Option.fromNullable(hidden(session).transaction?.server?.description.address)

/** A document as BSON. */
export const toBson = (document: Driver.Document): Uint8Array => Driver.BSON.serialize(document)

/** A document from BSON, each value with the type that it has there. Throws on anything else. */
export const fromBson = (bytes: Uint8Array): Driver.Document => Driver.BSON.deserialize(bytes, { promoteValues: false })

const toBigInt = (timestamp: Driver.Timestamp): bigint => BigInt.asUintN(64, timestamp.toBigInt())

const toTimestamp = (time: bigint): Driver.Timestamp => new Driver.Timestamp(time)
