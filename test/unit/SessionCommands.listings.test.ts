import { describe, expect, it } from "@effect/vitest"
import * as Array from "effect/Array"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as MetricState from "effect/MetricState"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { Document } from "mongodb"
import { Binary, Long, Timestamp, UUID } from "mongodb"
import type * as MongoClient from "../../src/MongoClient.js"
import type { MongoError } from "../../src/MongoError.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import type { DecodeFailed, SessionMisconfigured } from "../../src/SessionErrors.js"
import { batch, digest, idAt, nobody, secret, session, setUp, transaction } from "../support/data/sessionCommands.js"
import { logged } from "../support/server/connected.js"
import type * as Responder from "../support/server/responder.js"
import { recorder } from "../support/watch/spans.js"

describe("SessionCommands: listings", () => {
  const numbers = (entries: Iterable<SessionCommands.ListedSession>) =>
    Array.fromIterable(entries).map((one) => one.lastUse.getTime() - 1_700_000_000_000)

  /** Three batches: 1, 2 and 3; 4 and 5; 6. */
  const threeBatches: Responder.Options["handlers"] = {
    aggregate: batch([session(1), session(2), session(3)], { id: 77 }),
    getMore: (_, { count }) =>
      count % 2 === 0
        ? batch([session(4), session(5)], { id: 77, field: "nextBatch" })
        : batch([session(6)], { field: "nextBatch" })
  }

  it.scoped("sessions are decoded, whoever owns them and whatever else the server says of them", () =>
    Effect.gen(function*() {
      const uid = digest("app@shop")
      const { run } = yield* setUp({
        aggregate: batch([
          session(1),
          {
            _id: { id: new UUID(idAt(2).bytes), uid: new Binary(uid), txnNumber: Long.ONE, txnUUID: new UUID() },
            lastUse: new Date(0),
            user: "app@shop",
            later: { versions: "may add fields" }
          }
        ])
      })
      for (const list of [SessionCommands.listSessions, SessionCommands.listLocalSessions]) {
        const [first, second] = yield* run(Stream.runCollect(list()))
        expect(first).toEqual({
          lsid: { id: idAt(1), uid: nobody },
          lastUse: new Date(1_700_000_000_001),
          user: Option.none()
        })
        expect(second).toEqual({ lsid: { id: idAt(2), uid }, lastUse: new Date(0), user: Option.some("app@shop") })
      }
    }))

  it.scoped("an entry is a pattern that matches it", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp({ aggregate: batch([session(3)]) })
      const entries = yield* run(Stream.runCollect(SessionCommands.listSessions({ allUsers: true })))
      yield* run(SessionCommands.killAllSessionsByPattern(entries))
      const [kill] = yield* responder.named("killAllSessionsByPattern")
      expect(kill?.command["killAllSessionsByPattern"]).toEqual([{ lsid: session(3)["_id"] }])
    }))

  it.scoped("transactions are decoded, with what mongos does not tell left out", () =>
    Effect.gen(function*() {
      const onMongos = transaction(2)
      const { run } = yield* setUp({
        aggregate: batch([
          transaction(1),
          {
            ...onMongos,
            active: true,
            transaction: {
              ...onMongos["transaction"],
              parameters: { txnNumber: Long.MAX_VALUE, autocommit: false, readConcern: {} },
              readTimestamp: undefined,
              expiryTime: undefined,
              numParticipants: 2
            }
          }
        ])
      })
      const [first, second] = yield* run(Stream.runCollect(SessionCommands.currentTransactions({ allUsers: true })))
      expect(first).toMatchObject({
        lsid: { id: idAt(1), uid: nobody },
        txnNumber: 1n,
        active: false,
        autocommit: false,
        readConcern: Option.some("snapshot"),
        startWallClockTime: new Date("2024-05-01T08:00:00.250Z"),
        timeOpen: Duration.micros(5_000_001n),
        timeActive: Duration.micros(1_000_001n),
        timeInactive: Duration.micros(4_000_000n),
        expiryTime: Option.some(new Date("2024-05-01T08:01:00.250Z"))
      })
      expect(first !== undefined && Option.map(first.readTimestamp, String)).toEqual(
        Option.some(String(Timestamp.fromBits(3, 1_700_000_000)))
      )
      expect(second).toMatchObject({
        txnNumber: 2n ** 63n - 1n,
        active: true,
        readConcern: Option.none(),
        readTimestamp: Option.none(),
        expiryTime: Option.none()
      })
    }))

  const stages: ReadonlyArray<
    readonly [
      what: string,
      stream: Stream.Stream<unknown, SessionMisconfigured | MongoError | DecodeFailed, MongoClient.MongoClient>,
      expected: Document
    ]
  > = [
    ["one's own sessions", SessionCommands.listSessions(), {
      aggregate: "system.sessions",
      $db: "config",
      pipeline: [{ $listSessions: {} }]
    }],
    ["everybody's sessions", SessionCommands.listSessions({ allUsers: true }), {
      aggregate: "system.sessions",
      $db: "config",
      pipeline: [{ $listSessions: { allUsers: true } }]
    }],
    ["one's own local sessions", SessionCommands.listLocalSessions({ allUsers: false }), {
      aggregate: 1,
      $db: "admin",
      pipeline: [{ $listLocalSessions: {} }]
    }],
    ["a user's local sessions", SessionCommands.listLocalSessions({ users: [{ user: "app", db: "shop" }] }), {
      aggregate: 1,
      $db: "admin",
      pipeline: [{ $listLocalSessions: { users: [{ user: "app", db: "shop" }] } }]
    }],
    ["one's own transactions", SessionCommands.currentTransactions(), {
      aggregate: 1,
      $db: "admin",
      pipeline: [
        { $currentOp: { allUsers: false, idleSessions: true } },
        { $match: { "transaction.parameters.autocommit": { $exists: true } } }
      ]
    }],
    ["everybody's transactions", SessionCommands.currentTransactions({ allUsers: true }), {
      aggregate: 1,
      $db: "admin",
      pipeline: [
        { $currentOp: { allUsers: true, idleSessions: true } },
        { $match: { "transaction.parameters.autocommit": { $exists: true } } }
      ]
    }]
  ]

  it.scoped.each(stages)(
    "%s are asked for with the read concern local, whatever the client's",
    ([, stream, expected]) =>
      Effect.gen(function*() {
        const { responder, run } = yield* setUp({}, { readConcern: { level: "majority" } })
        yield* run(Stream.runDrain(stream))
        const [sent] = yield* responder.commands
        expect(sent?.command).toMatchObject({ ...expected, readConcern: { level: "local" } })
        expect(sent?.command["readConcern"]).toEqual({ level: "local" })
      })
  )

  it.scoped("a chunk is a batch, and a cursor that has come to its end is not killed", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp(threeBatches)
      const chunks = yield* run(Stream.runCollect(Stream.chunks(SessionCommands.listSessions())))
      expect(Array.fromIterable(chunks).map(numbers)).toEqual([[1, 2, 3], [4, 5], [6]])
      expect((yield* responder.commands).map(({ name }) => name)).toEqual(["aggregate", "getMore", "getMore"])
    }))

  it.scoped("a stream is lazy, and gives its entries anew each time it is run", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp(threeBatches)
      const stream = SessionCommands.listSessions()
      expect(yield* responder.commands).toEqual([])
      const first = yield* run(Stream.runCollect(stream))
      const second = yield* run(Stream.runCollect(stream))
      expect(numbers(first)).toEqual([1, 2, 3, 4, 5, 6])
      expect(numbers(second)).toEqual([1, 2, 3, 4, 5, 6])
      expect(yield* responder.named("aggregate")).toHaveLength(2)
    }))

  it.scoped("each batch is timed, and has a span, as has the closing of the cursor", () =>
    Effect.gen(function*() {
      const { run } = yield* setUp(threeBatches)
      const { spans, tracer } = recorder()
      const counts = Effect.sync(() =>
        ["aggregate", "getMore", "killCursors"].map((operation) =>
          Metric.unsafeSnapshot().reduce((sum, { metricKey: { name, tags }, metricState }) => {
            const isMeant = name === "db.client.operation.duration" && MetricState.isHistogramState(metricState) &&
              tags.some(({ value }) => value === "system.sessions") && tags.some(({ value }) => value === operation)
            return isMeant ? sum + metricState.count : sum
          }, 0)
        )
      )
      const before = yield* counts
      yield* Effect.gen(function*() {
        yield* Stream.runDrain(SessionCommands.listSessions())
        yield* Stream.runDrain(Stream.take(SessionCommands.listSessions(), 1))
      }).pipe(run, Effect.withTracer(tracer))
      expect(spans.map(({ ended, kind, name }) => [name, kind, ended])).toEqual(
        ["aggregate", "getMore", "getMore", "aggregate", "killCursors"]
          .map((name) => [`${name} config.system.sessions`, "client", "success"])
      )
      expect(spans[0]?.attributes).toHaveProperty("server.address")
      const after = yield* counts
      expect(after.map((count, index) => count - (before[index] ?? 0))).toEqual([2, 2, 1])
    }))

  it.scoped.each([1, 3, 4])("the cursor is killed when only %i entries are read", (count) =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp(threeBatches)
      const taken = yield* run(Stream.runCollect(Stream.take(SessionCommands.listSessions(), count)))
      expect(numbers(taken)).toEqual(Array.makeBy(count, (index) => index + 1))
      const killed = yield* responder.named("killCursors")
      expect(killed.map(({ command }) => command["cursors"].map(String))).toEqual([["77"]])
      expect(yield* responder.overlaps).toEqual([])
    }))

  it.scoped("the cursor is killed when the reader fails", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp(threeBatches)
      const error = yield* Effect.flip(
        run(Stream.runForEach(SessionCommands.listSessions(), () => Effect.fail("reader")))
      )
      expect(error).toBe("reader")
      expect(yield* responder.named("killCursors")).toHaveLength(1)
    }))

  it.scoped("entries before one that cannot be decoded still arrive, then the cursor is killed", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp({
        aggregate: batch([session(1), { secret }, session(3)], { id: 77 })
      })
      const seen: Array<SessionCommands.ListedSession> = []
      const error = yield* Effect.flip(
        run(Stream.runForEach(SessionCommands.listSessions(), (one) => Effect.sync(() => seen.push(one))))
      )
      expect(numbers(seen)).toEqual([1])
      expect(error).toMatchObject({ _tag: "DecodeFailed", path: ["_id"], issue: "is missing" })
      expect(yield* responder.named("killCursors")).toHaveLength(1)
    }))

  it.scoped("a failure in a later batch comes after the entries of the earlier ones", () =>
    Effect.gen(function*() {
      const { run } = yield* setUp({
        aggregate: batch([session(1)], { id: 77 }),
        getMore: { ok: 0, code: 43, codeName: "CursorNotFound", errmsg: secret }
      })
      const seen: Array<SessionCommands.ListedSession> = []
      const error = yield* Effect.flip(
        run(Stream.runForEach(SessionCommands.listSessions(), (one) => Effect.sync(() => seen.push(one))))
      )
      expect(numbers(seen)).toEqual([1])
      expect(error).toMatchObject({
        _tag: "MongoError",
        reason: "CursorLost",
        operation: "listSessions",
        namespace: "config.system.sessions"
      })
    }))

  it.scoped("an interruption waits for the batch in flight, then kills the cursor: no two commands at once", () =>
    Effect.gen(function*() {
      const answer = yield* Deferred.make<Responder.Reply>()
      const { responder, run } = yield* setUp({
        aggregate: batch([session(1)], { id: 77 }),
        getMore: () => Deferred.await(answer)
      })
      const fiber = yield* Effect.fork(run(Stream.runDrain(SessionCommands.listSessions())))
      yield* responder.awaitCommand("getMore")
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.yieldNow()
      expect(yield* Fiber.poll(interruption)).toEqual(Option.none())
      expect(yield* responder.named("killCursors")).toEqual([])
      yield* Deferred.succeed(answer, batch([session(2)], { id: 77, field: "nextBatch" }))
      expect(Exit.isInterrupted(yield* Fiber.join(interruption))).toBe(true)
      expect(yield* responder.named("killCursors")).toHaveLength(1)
      expect(yield* responder.overlaps).toEqual([])
    }))

  it.scoped("a server that does not answer holds an interruption for settleTimeout and closeTimeout at most", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const { responder, run } = yield* setUp({
          aggregate: batch([session(1)], { id: 77 }),
          getMore: "hang",
          killCursors: "hang"
        })
        const fiber = yield* Effect.fork(run(Stream.runDrain(SessionCommands.listSessions())))
        yield* responder.awaitCommand("getMore")
        const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* TestClock.adjust(Duration.seconds(29))
        expect(yield* responder.named("killCursors")).toEqual([])
        yield* TestClock.adjust(Duration.seconds(1))
        yield* responder.awaitCommand("killCursors")
        yield* TestClock.adjust(Duration.seconds(10))
        expect(Exit.isInterrupted(yield* Fiber.join(interruption))).toBe(true)
        expect(entries.map(({ annotations }) => annotations["step"])).toContain("cursor of listSessions")
      })
    ))

  it.scoped.each([
    { promoteValues: false },
    { promoteBuffers: true },
    { promoteLongs: false },
    { raw: true }
  ])("entries are read whatever the client's BSON options, as with %j", (driver) =>
    Effect.gen(function*() {
      const { run } = yield* setUp({ aggregate: batch([{ ...session(1), ...transaction(1) }]) }, driver)
      const [listed] = yield* run(Stream.runCollect(SessionCommands.listSessions()))
      const [current] = yield* run(Stream.runCollect(SessionCommands.currentTransactions()))
      expect(listed?.lsid).toEqual({ id: idAt(1), uid: nobody })
      expect(current?.txnNumber).toBe(1n)
    }))
})
