/**
 * Reads and sets what a driver session has: options, id and causal times.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Driver from "mongodb"
import { CausalToken } from "../../CausalToken.js"
import { SessionId } from "../../SessionId.js"
import type * as SessionOptions from "../../SessionOptions.js"
import type * as TransactionOptions from "../../TransactionOptions.js"
import { ofSession } from "./privates.js"

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

/** A write concern as the driver has it. */
export const toWriteConcern = (
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

// What this library keeps in the driver's sessions.
interface Notes {
  [kept]?: Driver.Timestamp | undefined
  [known]?: { readonly of: Driver.ClientSession["serverSession"]; readonly id: SessionId } | undefined
}

const notes = (session: Driver.ClientSession): Notes => session as Driver.ClientSession & Notes

/** The id of a driver session. */
export const idOf = (session: Driver.ClientSession): SessionId => {
  const it = notes(session)
  const { serverSession } = session
  // Every span needs it, and formatting it takes as long as making the span.
  if (it[known]?.of !== serverSession) {
    it[known] = { of: serverSession, id: SessionId.fromBytes(serverSession.id.id.buffer) }
  }
  return it[known].id
}

/** The time whose data a snapshot session reads, once known. */
export const snapshotTimeOf = (session: Driver.ClientSession): Option.Option<Driver.Timestamp> =>
  Option.fromNullable(ofSession(session).snapshotTime)

/** Makes a snapshot session read as of the given time; it must not have read yet. */
export const setSnapshotTime = (session: Driver.ClientSession, time: Driver.Timestamp): void => {
  ofSession(session).snapshotTime = time
}

/** The time of the last operation, once there was one. */
export const operationTimeOf = (session: Driver.ClientSession): Option.Option<Driver.Timestamp> =>
  Option.fromNullable(notes(session)[kept] ?? session.operationTime)

/**
 * Makes a driver session without causal consistency keep the time of its last operation, as the specification "Causal
 * Consistency" asks for. The driver keeps that time only if it also sends it with reads. So the session claims causal
 * consistency, and hides the time from the driver.
 */
export const keepOperationTime = (session: Driver.ClientSession): void => {
  const it = notes(session)
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
  Option.fromNullable(ofSession(session).transaction.server?.description.address)

const toBigInt = (timestamp: Driver.Timestamp): bigint => BigInt.asUintN(64, timestamp.toBigInt())

const toTimestamp = (time: bigint): Driver.Timestamp => new Driver.Timestamp(time)
