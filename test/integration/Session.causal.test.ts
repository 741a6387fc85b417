import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import { Long, Timestamp } from "mongodb"
import type { TestContext } from "vitest"
import * as CausalToken from "../../src/CausalToken.js"
import type * as Session from "../../src/Session.js"
import type * as MongoServer from "../../src/testing/MongoServer.js"
import * as Connected from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import * as Versions from "../support/server/versions.js"
import * as Monitor from "../support/watch/monitor.js"

interface Thing {
  readonly _id: string
}

const things = (session: Session.Service, database: string) =>
  session.client.driver.db(database).collection<Thing>("things")

const insert = (session: Session.Service, database: string, _id: string) =>
  session.use((driverSession) => things(session, database).insertOne({ _id }, { session: driverSession }))

const find = (session: Session.Service, database: string, _id: string) =>
  session.use((driverSession, signal) => things(session, database).findOne({ _id }, { session: driverSession, signal }))

const readConcerns = (seen: ReadonlyArray<{ readonly command: Driver.Document }>) =>
  seen.map(({ command }) => command["readConcern"] as Driver.Document | undefined)

const timeOf = (time: Option.Option<Driver.Timestamp>): bigint => Option.getOrThrow(time).toBigInt()

/** A test on the shared server, in real time. */
const onServer = <E>(
  name: string,
  test: (context: TestContext) => Effect.Effect<void, E, MongoServer.MongoServer | Scope.Scope>
) => it.scopedLive(name, (context) => Effect.provide(test(context), TestServer.layer))

describe("law 8 on a server", () => {
  onServer(
    "a read after a write asks for the time of the write, without being told to",
    () =>
      Monitor.withClient({}, ({ client, monitor }) =>
        Effect.gen(function*() {
          const database = yield* TestServer.database
          const session = yield* Connected.open(client)()
          expect(yield* session.operationTime).toEqual(Option.none())
          yield* find(session, database, "a")
          const read = yield* session.operationTime
          yield* insert(session, database, "a")
          const written = timeOf(yield* session.operationTime)
          expect(written).toBeGreaterThanOrEqual(timeOf(read))
          expect(yield* find(session, database, "a")).toEqual({ _id: "a" })
          const [before, after] = readConcerns(yield* monitor.named("find"))
          expect(before).toBe(undefined)
          expect(after!["afterClusterTime"].toBigInt()).toBe(written)
          expect(timeOf(yield* session.operationTime)).toBeGreaterThanOrEqual(written)
        }))
  )

  onServer(
    "a read asks for no time with causalConsistency: false",
    () =>
      Monitor.withClient({}, ({ client, monitor }) =>
        Effect.gen(function*() {
          const database = yield* TestServer.database
          const session = yield* Connected.open(client)({ causalConsistency: false })
          yield* insert(session, database, "a")
          yield* find(session, database, "a")
          yield* session.advanceTo(
            new CausalToken.CausalToken({
              operationTime: Option.some(1n),
              clusterTime: Option.none()
            })
          )
          yield* find(session, database, "a")
          expect(readConcerns(yield* monitor.named("find"))).toEqual([undefined, undefined])
        }))
  )

  onServer(
    "a snapshot session reads with level snapshot, and is not causally consistent",
    (context) =>
      Monitor.withClient({}, ({ client, monitor }) =>
        Effect.gen(function*() {
          yield* Versions.needs(context, Versions.snapshotReads)
          const database = yield* TestServer.database
          yield* Effect.flatMap(Connected.open(client)(), (session) => insert(session, database, "a"))
          const session = yield* Connected.open(client)({ snapshot: true })
          expect(session.options.causalConsistency).toBe(false)
          expect(yield* find(session, database, "a")).toEqual({ _id: "a" })
          const concerns = readConcerns(yield* monitor.named("find"))
          expect(concerns.map((concern) => concern?.["level"])).toEqual(["snapshot"])
          expect(concerns[0]).not.toHaveProperty("afterClusterTime")
        }))
  )

  onServer(
    "a snapshot session is opened on MongoDB 5.0 and later, and refused with the reason before",
    () =>
      Monitor.withClient({}, ({ client, monitor }) =>
        Effect.gen(function*() {
          const opened = yield* Effect.either(Connected.open(client)({ snapshot: true }))
          if (yield* Versions.has(Versions.snapshotReads)) expect(Either.isRight(opened)).toBe(true)
          else expect(opened).toMatchObject(Either.left({ _tag: "SessionsUnsupported", reason: "SnapshotReads" }))
          expect(yield* monitor.named("find")).toEqual([])
        }))
  )

  onServer(
    "a token that went as text to another client makes its first read see the write",
    () =>
      Effect.gen(function*() {
        const database = yield* TestServer.database
        const text = yield* Monitor.withClient({}, ({ client }) =>
          Effect.gen(function*() {
            const session = yield* Connected.open(client)()
            yield* insert(session, database, "a")
            return CausalToken.encode(yield* session.causalToken)
          }))
        yield* Monitor.withClient({}, ({ client, monitor }) =>
          Effect.gen(function*() {
            const session = yield* Connected.open(client)()
            const token = yield* CausalToken.decode(text)
            yield* session.advanceTo(token)
            expect(timeOf(yield* session.operationTime)).toBe(Option.getOrThrow(token.operationTime))
            expect(yield* find(session, database, "a")).toEqual({ _id: "a" })
            const [sent] = yield* monitor.named("find")
            expect(sent!.command["readConcern"].afterClusterTime.toBigInt()).toBe(
              Option.getOrThrow(token.operationTime)
            )
            expect(sent!.command["$clusterTime"].clusterTime.toBigInt())
              .toBeGreaterThanOrEqual(Option.getOrThrow(token.clusterTime).time)
          }))
      })
  )
})

/** Times are seconds in the upper half, and a counter. */
const time = FastCheck.tuple(FastCheck.integer({ min: 1, max: 2 ** 31 }), FastCheck.integer({ min: 0, max: 3 })).map(
  ([seconds, count]) => (BigInt(seconds) << 32n) + BigInt(count)
)

const token: FastCheck.Arbitrary<CausalToken.CausalToken> = FastCheck.record({
  operationTime: FastCheck.option(time, { nil: undefined }).map(Option.fromNullable),
  clusterTime: FastCheck.option(
    FastCheck.record({
      time,
      hash: FastCheck.uint8Array({ minLength: 20, maxLength: 20 }),
      keyId: FastCheck.bigInt(0n, 9n)
    }),
    { nil: undefined }
  ).map(Option.fromNullable)
}).map((times) => new CausalToken.CausalToken(times))

const later = (self: Option.Option<bigint>, that: Option.Option<bigint>) =>
  Option.orElse(Option.zipWith(self, that, (a, b) => (a > b ? a : b)), () => Option.orElse(self, () => that))

describe("law 8: advanceTo", () => {
  it.scoped("never goes back, whatever the order of the tokens", () =>
    Effect.gen(function*() {
      const { open } = yield* Connected.connected()
      yield* Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(FastCheck.array(token, { minLength: 1, maxLength: 12 }), (tokens) =>
            Effect.runPromise(Effect.scoped(Effect.gen(function*() {
              const session = yield* open()
              let operationTime = Option.none<bigint>()
              let clusterTime = Option.none<bigint>()
              for (const one of tokens) {
                yield* session.advanceTo(one, { maxAhead: Infinity })
                operationTime = later(operationTime, one.operationTime)
                clusterTime = later(
                  clusterTime,
                  Option.map(one.clusterTime, ({ time }) => time)
                )
                expect(Option.map(yield* session.operationTime, (time) => time.toBigInt())).toEqual(operationTime)
                expect(Option.map(yield* session.clusterTime, (seen) => seen.clusterTime.toBigInt())).toEqual(
                  clusterTime
                )
                const seen = yield* session.causalToken
                expect(seen.operationTime).toEqual(operationTime)
                expect(CausalToken.merge(seen, one).operationTime).toEqual(seen.operationTime)
              }
            })))),
          { numRuns: 200 }
        )
      )
    }))

  it.scoped("nor do the replies that come in between take a session back", () =>
    Effect.gen(function*() {
      const { open, server } = yield* Connected.connected()
      const steps = FastCheck.array(FastCheck.option(token, { nil: undefined }), { maxLength: 20 })
      yield* Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(steps, (steps) =>
            Effect.runPromise(Effect.scoped(Effect.gen(function*() {
              yield* server.clear
              const session = yield* open()
              for (const step of steps) {
                yield* step === undefined ? Connected.find(session) : session.advanceTo(step, { maxAhead: Infinity })
              }
              const asked = readConcerns(yield* server.named("find")).map((concern): bigint =>
                concern?.["afterClusterTime"]?.toBigInt() ?? 0n
              )
              expect(asked.length).toBe(steps.filter((step) => step === undefined).length)
              expect(asked.every((time, n) => n === 0 || time >= asked[n - 1]!)).toBe(true)
            })))),
          { numRuns: 50 }
        )
      )
    }))

  it.scoped("fails with SessionEnded after the release", () =>
    Effect.gen(function*() {
      const { open } = yield* Connected.connected()
      const session = yield* Effect.scoped(open())
      expect(yield* Effect.flip(session.advanceTo(CausalToken.empty))).toMatchObject({ _tag: "SessionEnded" })
    }))
})

describe("a snapshot session", () => {
  const first = Timestamp.fromBits(7, 1_700_000_100)
  const pinning = {
    handlers: {
      find: () => ({ cursor: { firstBatch: [], id: Long.ZERO, ns: "test.things", atClusterTime: first } })
    }
  }
  const atClusterTimes = (seen: ReadonlyArray<{ readonly command: Driver.Document }>) =>
    readConcerns(seen).map((concern) => concern?.["atClusterTime"]?.toBigInt() as bigint | undefined)

  it.scoped("reads all that follows as of its first read", () =>
    Effect.gen(function*() {
      const { open, server } = yield* Connected.connected(pinning)
      const session = yield* open({ snapshot: true })
      expect(yield* session.snapshotTime).toEqual(Option.none())
      yield* Connected.find(session)
      yield* Connected.find(session)
      expect(timeOf(yield* session.snapshotTime)).toBe(first.toBigInt())
      expect(atClusterTimes(yield* server.named("find"))).toEqual([undefined, first.toBigInt()])
    }))
})
