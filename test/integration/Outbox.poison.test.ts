import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Driver from "mongodb"
import * as Outbox from "../../src/Outbox.js"
import type { HandlingFailed } from "../../src/SessionErrors.js"
import * as FailPoint from "../../src/testing/FailPoint.js"
import * as Transaction from "../../src/Transaction.js"
import { numbers, on, onClient } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const ended = { poll: Schedule.stop }

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  /** An outbox of four messages, of which number 2 cannot be delivered until it is mended. */
  const poisoned = (watched: Monitor.Watched) =>
    Effect.gen(function*() {
      const database = yield* TestServer.database
      const Numbers = Outbox.make("numbers", { database, schema: Schema.Struct({ n: Schema.Number }) })
      const ids = yield* Transaction.run(Numbers.publishAll(numbers(4).map((n) => ({ n }))))
      const delivered: Array<number> = []
      let tries = 0
      const broken = { is: true }
      return {
        db: watched.client.driver.db(database),
        Numbers,
        ids,
        delivered,
        broken,
        tries: Effect.sync(() => tries),
        deliver: ({ message: { n } }: Outbox.Delivery<{ readonly n: number }>) =>
          Effect.suspend(() => {
            if (n === 2 && broken.is) return Effect.failSync(() => `no ${++tries}`)
            delivered.push(n)
            return Effect.void
          })
      }
    })

  describe("a message that cannot be delivered", () => {
    it.effect("stops its relay, which says which one it is and how often it has failed in all", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, deliver, delivered, ids } = yield* poisoned(watched)
          for (const attempts of [1, 2, 3]) {
            const failure = yield* Effect.flip(Stream.runDrain(Numbers.relay(deliver)))
            expect(failure).toMatchObject({ _tag: "HandlingFailed", id: ids[2], attempts, error: `no ${attempts}` })
          }
          expect(delivered).toEqual([0, 1])
        })
      ))

    it.effect("has one attempt counted for each failure, whatever becomes of the answers to that", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, deliver } = yield* poisoned(watched)
          const admin = yield* TestServer.driver()
          // Done, but told as a server does that is no primary any more: to the first try, and to that of the driver.
          const unheard = FailPoint.failCommand(admin, {
            failCommands: ["findAndModify"],
            mode: { times: 2 },
            writeConcernError: { code: 91, errmsg: "shutting down" },
            appName: watched.appName
          })
          const failing = (delivery: Outbox.Delivery<{ readonly n: number }>) =>
            Effect.tapError(deliver(delivery), () => Effect.orDie(unheard))
          for (const attempts of [2, 4]) {
            const relay = Numbers.relay(failing, { retry: Schedule.recurs(1) })
            expect(yield* Effect.flip(Stream.runDrain(relay))).toMatchObject({ _tag: "HandlingFailed", attempts })
          }
        })
      ))

    it.effect("for one of the parts fails that are delivered at once, stops its relay with that failure", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, ids } = yield* poisoned(watched)
          const parallel = () => Effect.all([Effect.fail("one part"), Effect.never], { concurrency: 2 })
          for (const attempts of [1, 2]) {
            const failure = yield* Effect.flip(Stream.runDrain(Numbers.relay(parallel)))
            expect(failure).toMatchObject({ _tag: "HandlingFailed", id: ids[0], attempts, error: "one part" })
          }
        })
      ))

    it.effect("is tried again by a Schedule, which may look at the failure, and holds up those that follow", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { broken, Numbers, deliver, delivered, tries } = yield* poisoned(watched)
          const seen: Array<number> = []
          const retry = Schedule.spaced("10 millis").pipe(
            Schedule.zipRight(Schedule.recurWhile((failure: HandlingFailed<unknown>) => {
              seen.push(failure.attempts)
              if (failure.attempts === 4) broken.is = false
              return true
            }))
          )
          yield* Effect.flip(Stream.runDrain(Numbers.relay(deliver)))
          const [time] = yield* Effect.timed(Stream.runDrain(Numbers.relay(deliver, { ...ended, retry })))
          expect(Duration.toMillis(time)).toBeGreaterThanOrEqual(30)
          expect(yield* tries).toBe(4)
          expect(seen).toEqual([2, 3, 4])
          expect(delivered).toEqual([0, 1, 2, 3])
        })
      ))

    it.effect("is left out, if that is asked for", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, deliver, delivered, tries } = yield* poisoned(watched)
          const options = { ...ended, onPoison: "skip", retry: Schedule.recurs(2) } as const
          const given = yield* Stream.runCollect(Numbers.relay(deliver, options))
          expect(Chunk.toReadonlyArray(given).map(({ message }) => message.n)).toEqual([0, 1, 3])
          expect(delivered).toEqual([0, 1, 3])
          expect(yield* tries).toBe(3)
          expect(yield* Numbers.pending).toBe(0)
        })
      ))

    it.effect.each([{}, { useBigInt64: true }, { promoteValues: false }])(
      "is set aside and published again as it was published, each value of its type: client with %j",
      (driver) =>
        Monitor.withClient({ driver }, (watched) =>
          on(watched)(Effect.gen(function*() {
            const database = yield* TestServer.database
            const Typed = Outbox.make("typed", { database })
            const message = {
              double: new Driver.Double(5),
              int: new Driver.Int32(5),
              long: Driver.Long.fromNumber(5),
              huge: Driver.Long.MAX_VALUE,
              bytes: new Driver.Binary(new Uint8Array([1]), 5),
              pattern: new Driver.BSONRegExp("(?i)a", "x"),
              list: [new Driver.Double(1), { inner: Driver.Long.fromNumber(2) }]
            }
            const id = yield* Transaction.run(Typed.publish(message))
            const broken = () => Effect.fail("broken")
            yield* Stream.runDrain(Typed.relay(broken, { ...ended, onPoison: "setAside" }))
            expect(yield* Typed.pending).toBe(0)
            expect(yield* Typed.deadLetters.retry(id)).toBe(true)
            const stored = yield* Effect.promise(() =>
              watched.client.driver.db(database).collection("effect_mongo_session.outbox.typed").findOne({}, {
                promoteValues: false,
                useBigInt64: false,
                bsonRegExp: true
              })
            )
            expect(stored?.["message"]).toStrictEqual(message)
          })))
    )

    it.effect("is set aside, if that is asked for, to be tried again or dropped", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { broken, Numbers, deliver, delivered, ids } = yield* poisoned(watched)
          yield* Stream.runDrain(Numbers.relay(deliver, { ...ended, onPoison: "setAside", retry: Schedule.recurs(1) }))
          expect(delivered).toEqual([0, 1, 3])
          const letters = Effect.map(Stream.runCollect(Numbers.deadLetters.list), Chunk.toReadonlyArray)
          const [letter, ...more] = yield* letters
          expect(more).toEqual([])
          expect(letter).toMatchObject({ id: ids[2], message: { n: 2 }, attempts: 2 })
          expect(letter?.error).toContain("no 2")
          expect(letter?.setAsideAt.getTime()).toBeGreaterThanOrEqual(letter?.publishedAt.getTime() ?? Infinity)

          broken.is = false
          const undone = Effect.zipRight(Numbers.deadLetters.retry(ids[2]!), Effect.fail("undone" as const))
          expect(yield* Effect.flip(Transaction.run(undone))).toBe("undone")
          expect(yield* letters).toHaveLength(1)
          expect(yield* Numbers.deadLetters.retry(ids[2]!)).toBe(true)
          expect(yield* Numbers.deadLetters.retry(ids[2]!)).toBe(false)
          const given = yield* Stream.runCollect(Numbers.relay(deliver, ended))
          expect(Chunk.toReadonlyArray(given).map(({ id }) => id)).toEqual([ids[2]])
          expect(yield* letters).toEqual([])
        })
      ))

    it.effect("is dropped from the dead letters of its own outbox only", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { db, Numbers, deliver, ids } = yield* poisoned(watched)
          const Others = Outbox.make("others", { database: db.databaseName })
          yield* Stream.runDrain(Numbers.relay(deliver, { ...ended, onPoison: "setAside" }))
          expect(yield* Stream.runCollect(Others.deadLetters.list)).toHaveLength(0)
          expect(yield* Others.deadLetters.drop(ids[2]!)).toBe(false)
          expect(yield* Numbers.deadLetters.drop(ids[2]!)).toBe(true)
          expect(yield* Numbers.deadLetters.drop(ids[2]!)).toBe(false)
        })
      ))

    it.effect("because it no longer fits the schema, or because its delivery throws, is set aside, too", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { db, Numbers, delivered } = yield* poisoned(watched)
          yield* Effect.promise(() =>
            db.collection("effect_mongo_session.outbox.numbers").updateOne({ "message.n": 0 }, {
              $set: { message: { n: "zero" } }
            })
          )
          const throwing = ({ message: { n } }: Outbox.Delivery<{ readonly n: number }>) =>
            Effect.sync(() => {
              if (n === 1) throw new TypeError("a bug")
              delivered.push(n)
            })
          yield* Stream.runDrain(Numbers.relay(throwing, { ...ended, onPoison: "setAside" }))
          expect(delivered).toEqual([2, 3])
          const letters = Chunk.toReadonlyArray(yield* Stream.runCollect(Numbers.deadLetters.list))
          expect(letters.map(({ message }) => message)).toEqual([{ n: "zero" }, { n: 1 }])
          expect(letters[1]?.error).toContain("a bug")
        })
      ))

    it.effect("is set aside, however large it is and whatever it has failed with; one that could not be is not published", () =>
      onClient(() =>
        Effect.gen(function*() {
          const database = yield* TestServer.database
          const Large = Outbox.make("large", { database })
          const of = (n: number, room: number) => ({ n, text: "a".repeat(2 ** 24 - room) })
          const refused = yield* Effect.flip(Transaction.run(Large.publish(of(1, 65_000))))
          expect(refused).toMatchObject({ _tag: "MongoError", reason: "DocumentTooLarge", operation: "publish" })
          expect("hint" in refused && refused.hint).toMatch(/64 KiB/)
          const id = yield* Transaction.run(Large.publish(of(2, 66_000)))
          yield* Transaction.run(Large.publish({ n: 3 }))
          const delivered: Array<unknown> = []
          const deliver = ({ message }: Outbox.Delivery<{ readonly n?: number }>) =>
            message.n === 2 ? Effect.fail("\u20ac".repeat(20_000)) : Effect.sync(() => void delivered.push(message.n))
          yield* Stream.runDrain(Large.relay(deliver, { ...ended, onPoison: "setAside" }))
          expect(delivered).toEqual([3])
          expect(yield* Stream.runCollect(Large.deadLetters.list)).toHaveLength(1)
          expect(yield* Large.deadLetters.retry(id)).toBe(true)
          expect(yield* Large.pending).toBe(1)
        })
      ))

    it.effect("because its delivery throws, stays a defect otherwise", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers } = yield* poisoned(watched)
          const bug = new TypeError("a bug")
          const exit = yield* Effect.exit(Stream.runDrain(Numbers.relay(() => Effect.die(bug))))
          expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe(bug)
          expect(yield* Numbers.pending).toBe(4)
        })
      ))
  })
})
