import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as CausalToken from "../../src/CausalToken.js"
import * as ConsumeOptions from "../../src/internal/changes/consumeOptions.js"
import * as RelayOptions from "../../src/internal/changes/outbox/options.js"
import * as MongoClient from "../../src/MongoClient.js"
import { MongoError } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import { SessionMisconfigured } from "../../src/SessionErrors.js"
import * as SessionOptions from "../../src/SessionOptions.js"
import * as Transaction from "../../src/Transaction.js"
import * as TransactionOptions from "../../src/TransactionOptions.js"
import { build, type Described, described, everyLeaf, holds } from "../support/hostile/hostile.js"
import { connected } from "../support/server/connected.js"

const transaction = [
  ...["readConcern", "writeConcern", "readPreference", "maxCommitTime", "timeout"],
  ...["level", "w", "journal", "wtimeout", "mode", "tags", "maxStalenessSeconds"]
]
const session = [
  ...["causalConsistency", "snapshot", "snapshotTime", "defaultTransactionOptions", "keepAlive", "onBusy", "onLapse"],
  ...["release", "settleTimeout", ...transaction]
]
const client = [
  "database",
  "closeTimeout",
  "settleTimeout",
  "keepAlive",
  "schedule",
  "idleFor",
  "retry",
  "transactions"
]
const outbox = ["name", "database", "collection", "stateCollection", "deadLetterCollection", "sequence"]
const relay = ["batch", "concurrency", "orderBy", "poll", "resume", "retry", "onPoison"]
const consumer = ["collection", "database", "batch", "idleCheckpoint", "onLost", "deadLetterCollection", "transaction"]
const values = ["primary", "nearest", "snapshot", "queue", "end", "1 second", [1, 5], { millis: 1 }]

const decoders = [
  ["a session", session, SessionOptions.decode],
  ["a transaction", transaction, TransactionOptions.decode],
  ["a relay", relay, RelayOptions.ensureValid],
  ["an outbox", outbox, RelayOptions.ensureOutbox],
  ["a consumer", [...consumer, ...relay, ...transaction], ConsumeOptions.ensureValid]
] as const

describe("options of strangers", () => {
  for (const [what, names, decode] of decoders) {
    const isTyped = (given: Described): void => {
      const decoded: Either.Either<object, SessionMisconfigured> = decode(build(given))
      if (Either.isLeft(decoded)) {
        expect(decoded.left).toBeInstanceOf(SessionMisconfigured)
        expect(decoded.left.issues.length).toBeGreaterThan(0)
        expect(decoded.left.message.length).toBeLessThan(100_000)
      }
    }
    it(`of ${what} are decoded or refused, whatever they are`, () => {
      everyLeaf.forEach(isTyped)
      for (const leaf of everyLeaf) for (const name of names) isTyped({ fields: [[name, leaf]] })
      holds(described(names, values), isTyped)
    })
  }

  const ofClient = (given: unknown) =>
    Effect.runSyncExit(
      Effect.scoped(MongoClient.fromDriver(Effect.fail("reached"), given as MongoClient.CommonOptions))
    )

  it("of a client are decoded or refused before anything is acquired", () => {
    const isTyped = (given: Described): void => {
      const exit = ofClient(build(given))
      if (Exit.isSuccess(exit) || exit.cause._tag !== "Fail") {
        throw new Error("neither acquired nor refused", { cause: exit })
      }
      if (exit.cause.error !== "reached") {
        expect(exit.cause.error).toBeInstanceOf(MongoError)
        expect((exit.cause.error as MongoError).reason).toBe("InvalidOptions")
      }
    }
    everyLeaf.forEach((leaf) => isTyped(leaf))
    for (const leaf of everyLeaf) for (const name of client) isTyped({ fields: [[name, leaf]] })
    holds(described([...client, ...transaction], values), isTyped)
  })

  it("of a client that are no object are told so", () => {
    const messageOf = (exit: Exit.Exit<unknown, unknown>) =>
      Exit.isFailure(exit) && exit.cause._tag === "Fail" && String(exit.cause.error)
    for (const given of [undefined, null, 5, "mongodb://localhost", []]) {
      const made = Effect.runSyncExit(Effect.scoped(MongoClient.make(given as never)))
      expect(messageOf(made)).toContain("MongoClient (options: expected an object of client options)")
      if (given === undefined) continue
      expect(messageOf(ofClient(given))).toContain("MongoClient (options: expected an object of client options)")
    }
  })

  it("as a URL are refused, also where it was wiped or is no text", () => {
    const wiped = Redacted.make("mongodb://localhost")
    Redacted.unsafeWipe(wiped)
    const urls = [wiped, Object.create(wiped) as unknown, ...everyLeaf.map((leaf) => Redacted.make(build(leaf)))]
    for (const url of urls) {
      const exit = Effect.runSyncExit(Effect.scoped(MongoClient.make({ url: url as Redacted.Redacted })))
      expect(Exit.isFailure(exit) && exit.cause._tag === "Fail" && exit.cause.error._tag).toBe("MongoError")
    }
  })

  it("of a session fail its acquisition by type, not only its decoding", () => {
    for (const leaf of everyLeaf) {
      const exit = Effect.runSyncExit(
        Session.decodeOptions(build({ fields: [["timeout", leaf], ["defaultTransactionOptions", leaf]] }))
      )
      expect(Exit.isSuccess(exit) || exit.cause._tag === "Fail").toBe(true)
    }
  })

  it.scopedLive("of a session or a transaction that is opened are taken or refused before anything is sent", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      yield* Effect.scoped(Session.make()).pipe(Effect.provideService(MongoClient.MongoClient, client))
      yield* server.clear
      const openings = (given: never) => [
        Effect.scoped(Session.make(given)),
        Session.scoped(Effect.void, given),
        Session.ensure(Effect.void, given),
        Transaction.run(Effect.void, given),
        Transaction.sandbox(Effect.void, given),
        Effect.void.pipe(Transaction.run({ session: given })),
        Session.scoped(Transaction.start(given))
      ]
      const lists: ReadonlyArray<Described> = [{ list: [] }, { given: 5 }]
      const fields = everyLeaf.map((leaf): Described => ({ fields: [["timeout", leaf], ["onBusy", leaf]] }))
      for (const described of [...everyLeaf, ...lists, ...fields]) {
        const given = build(described)
        for (const [index, opening] of openings(given as never).entries()) {
          const exit = yield* Effect.exit(Effect.provideService(opening, MongoClient.MongoClient, client))
          const refusal = Exit.isFailure(exit) && Cause.failureOption(exit.cause)
          const isRefused = refusal !== false && Option.isSome(refusal) && refusal.value._tag === "SessionMisconfigured"
          if (Exit.isFailure(exit) && !isRefused) {
            throw new Error(`${index}: ${JSON.stringify(described)}`, { cause: Cause.squash(exit.cause) })
          }
          const isNoObject = typeof given !== "object" || given === null || "list" in described
          if (given !== undefined && isNoObject) expect([index, isRefused]).toEqual([index, true])
        }
      }
      expect(yield* server.commands).toEqual([])
    }))

  it.scopedLive("of a use, and a token and how far it may lie ahead, are refused by type, and nothing is sent", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected()
      const session = yield* open()
      const token = yield* session.causalToken
      yield* server.clear
      const wrong = (["null", "a proxy that throws", "a revoked proxy"] as const).map((leaf): Described => ({ leaf }))
      const listed: ReadonlyArray<Described> = [{ list: [] }, { given: 5 }]
      const fields = (name: string) => wrong.map((leaf): Described => ({ fields: [[name, leaf]] }))
      const use = () => Promise.reject(new Error("called"))
      for (const options of [...wrong, ...listed, ...fields("operation"), ...fields("namespace")]) {
        const given = build(options) as never
        for (const using of [session.use(use, given), Session.provide(Session.use(use, given), session)]) {
          expect(yield* Effect.flip(using)).toMatchObject({ reason: "InvalidOptions", operation: "use" })
        }
      }
      for (
        const options of [...wrong, ...listed, ...fields("maxAhead"), { fields: [["maxAhead", { given: "soon" }]] }]
      ) {
        expect(yield* Effect.flip(session.advanceTo(token, build(options as Described) as never)))
          .toMatchObject({ _tag: "SessionMisconfigured" })
      }
      for (const maxAhead of [NaN, -5, -5n, "-5 seconds", [-1, 0], [0, NaN]]) {
        expect(yield* Effect.flip(session.advanceTo(token, { maxAhead } as never)))
          .toMatchObject({ _tag: "SessionMisconfigured", issues: [{ path: ["maxAhead"] }] })
      }
      yield* session.advanceTo(token, { maxAhead: 0 })
      yield* session.advanceTo(token, { maxAhead: Infinity })
      const nearly = Object.create(CausalToken.CausalToken.prototype)
      const strange = [...everyLeaf.map(build), CausalToken.encode(token), nearly, { ...token }]
      for (const one of [...strange, new Proxy(token, { get: () => 5 })]) {
        expect(yield* Effect.flip(session.advanceTo(one as never))).toMatchObject({ _tag: "SessionMisconfigured" })
      }
      expect(yield* server.commands).toEqual([])
    }))

  it("of Config are read or refused as invalid data", () => {
    const names = [
      ...["CAUSAL_CONSISTENCY", "SNAPSHOT", "ON_BUSY", "RELEASE", "TIMEOUT", "SETTLE_TIMEOUT"],
      ...["TRANSACTION.WRITE_CONCERN_W", "TRANSACTION.MAX_COMMIT_TIME", "TRANSACTION.READ_PREFERENCE"]
    ]
    const texts = FastCheck.oneof(
      FastCheck.string({ unit: "binary", maxLength: 20 }),
      FastCheck.constantFrom(
        "1e309",
        "0x10",
        "NaN",
        "__proto__",
        "-0",
        " ",
        "9".repeat(400_000),
        `1${" ".repeat(100_000)}`
      )
    )
    holds(FastCheck.dictionary(FastCheck.constantFrom(...names), texts), (given) => {
      const provider = ConfigProvider.fromMap(
        new Map(Object.entries(given).map(([name, text]) => [`SESSION.${name}`, text]))
      )
      const exit = Effect.runSyncExit(Effect.withConfigProvider(SessionOptions.config(), provider))
      expect(Exit.isSuccess(exit) || exit.cause._tag === "Fail").toBe(true)
    })
  })
})
