import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as MongoClient from "../../src/MongoClient.js"
import * as Outbox from "../../src/Outbox.js"
import * as Session from "../../src/Session.js"
import * as FailPoint from "../../src/testing/FailPoint.js"
import * as Transaction from "../../src/Transaction.js"
import { numbers, on, onClient } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const Letter = Schema.Struct({ n: Schema.NumberFromString })

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  const letters = ({ client }: Monitor.Watched) =>
    Effect.gen(function*() {
      const database = yield* TestServer.database
      const Letters = Outbox.make("letters", { database, schema: Letter })
      const delivered: Array<number> = []
      const db = client.driver.db(database)
      return {
        database,
        db,
        Letters,
        delivered,
        messages: db.collection<{ _id: string; message?: { n: unknown } }>("effect_mongo_session.outbox.letters"),
        publish: (n: number) => Transaction.run(Letters.publish({ n })),
        deliver: ({ message }: Outbox.Delivery<typeof Letter.Type>) =>
          Effect.sync(() => void delivered.push(message.n)),
        /** Delivers what there is, and ends. */
        flush: (deliver: (delivery: Outbox.Delivery<typeof Letter.Type>) => Effect.Effect<unknown>) =>
          Effect.map(Stream.runCollect(Letters.relay(deliver, { poll: Schedule.stop })), Chunk.toReadonlyArray)
      }
    })

  const all = ({ Letters }: Effect.Effect.Success<ReturnType<typeof letters>>) =>
    Effect.map(
      Stream.runCollect(Letters.relay(() => Effect.void, { poll: Schedule.stop })),
      (found) => Chunk.toReadonlyArray(found).map(({ message }) => message.n)
    )

  describe("a message is not published", () => {
    it.effect("when it does not fit the schema, of which the body may make something else", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const box = yield* letters(watched)
          const Positive = Outbox.make("letters", {
            database: box.database,
            schema: Schema.Struct({ n: Schema.NumberFromString.pipe(Schema.positive()) })
          })
          const failure = { _tag: "DecodeFailed", source: "message of outbox letters", path: ["n"] }
          expect(yield* Effect.flip(Transaction.run(Positive.publish({ n: -1 })))).toMatchObject(failure)
          yield* Transaction.run(Effect.orElse(Positive.publish({ n: -1 }), () => Positive.publish({ n: 1 })))
          expect(yield* all(box)).toEqual([1])
        })
      ))

    it.effect("in the transaction of another client, and that is told at once", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Letters } = yield* letters(watched)
          const other = yield* Monitor.connect()
          const session = yield* Monitor.session(other)
          const published = Transaction.run(
            Effect.either(Effect.provideService(Letters.publish({ n: 1 }), MongoClient.MongoClient, watched.client))
          )
          expect(yield* Session.provide(on(other)(published), session))
            .toMatchObject(Either.left({ _tag: "ForeignSession" }))
        })
      ))

    it.effect("when its transaction is rolled back, nor one of a part that has failed", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const box = yield* letters(watched)
          const { Letters, publish } = box
          const failing = (n: number) => Effect.zipRight(Letters.publish({ n }), Effect.fail("no" as const))
          yield* Effect.either(Transaction.run(failing(1)))
          yield* Transaction.sandbox(Letters.publish({ n: 2 }))
          yield* Transaction.run(Effect.zipRight(Letters.publish({ n: 3 }), Transaction.rollbackOnly))
          yield* Transaction.run(Effect.zipRight(Effect.either(Transaction.run(failing(4))), Letters.publish({ n: 5 })))
          yield* publish(6)
          expect(yield* all(box)).toEqual([5, 6])
        })
      ))

    it.effect("when it can't be written, and then nothing else of its transaction is", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { db, publish, Letters } = yield* letters(watched)
          yield* publish(0)
          const admin = yield* TestServer.driver()
          yield* FailPoint.failCommand(admin, {
            failCommands: ["insert"],
            errorCode: 13,
            appName: watched.appName
          })
          const effect = Session.use((session) =>
            db.collection("effects").updateOne({ n: 1 }, { $set: { n: 1 } }, { session, upsert: true })
          )
          expect(yield* Effect.flip(Transaction.run(Effect.zipRight(effect, Letters.publish({ n: 1 })))))
            .toMatchObject({ _tag: "TransactionDoomed", first: { reason: "Unauthorized" } })
          expect(yield* Effect.promise(() => db.collection("effects").countDocuments())).toBe(0)
          expect(yield* Letters.pending).toBe(1)
        })
      ))
  })

  describe("a relay", () => {
    it.effect("fails with what the delivery fails with, and begins there when it is run again", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Letters, deliver, delivered, flush, publish } = yield* letters(watched)
          const ids = yield* Effect.forEach([1, 2, 3], publish)
          const seen: Array<string> = []
          const failing = Letters.relay((delivery) =>
            Effect.zipRight(
              Effect.sync(() => void seen.push(delivery.id)),
              delivery.message.n === 2 ? Effect.fail("lost" as const) : deliver(delivery)
            )
          )
          expect(yield* Effect.flip(Stream.runDrain(failing))).toMatchObject({
            _tag: "HandlingFailed",
            kind: "outbox",
            of: "letters",
            id: ids[1],
            attempts: 1,
            error: "lost"
          })
          expect(seen).toEqual(ids.slice(0, 2))
          expect(yield* Letters.pending).toBe(2)
          expect((yield* flush(deliver)).map(({ id }) => id)).toEqual(ids.slice(1))
          expect(delivered).toEqual([1, 2, 3])
          expect(yield* Letters.pending).toBe(0)
        })
      ))

    it.effect("fails at a message that no longer fits the schema, and delivers nothing that came after it", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Letters, deliver, delivered, messages, publish } = yield* letters(watched)
          yield* Effect.forEach([1, 2, 3], publish)
          yield* Effect.promise(() => messages.updateOne({ "message.n": "2" }, { $set: { message: { n: true } } }))
          for (const attempts of [1, 2]) {
            expect(yield* Effect.flip(Stream.runDrain(Letters.relay(deliver)))).toMatchObject({
              _tag: "HandlingFailed",
              attempts,
              error: { _tag: "DecodeFailed", source: "message of outbox letters", path: ["n"] }
            })
          }
          expect(delivered).toEqual([1])
        })
      ))

    it.effect("is replaced by another one that is started later, and told so while it waits", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Letters, deliver, delivered, publish } = yield* letters(watched)
          yield* publish(1)
          const first = yield* Effect.forkScoped(Stream.runDrain(Letters.relay(deliver)))
          yield* Monitor.until(Letters.pending, (left) => left === 0)
          yield* watched.monitor.clear
          yield* watched.monitor.awaitStarted("getMore")
          const later: Array<number> = []
          yield* Effect.forkScoped(
            Stream.runDrain(Letters.relay(({ message }) => Effect.sync(() => void later.push(message.n))))
          )
          expect(yield* Effect.flip(Fiber.join(first))).toMatchObject({ _tag: "ConsumerReplaced" })
          yield* publish(2)
          yield* Monitor.until(Effect.sync(() => later.length), (count) => count === 1)
          expect([delivered, later]).toEqual([[1], [2]])
        })
      ))

    it.effect("is replaced while it delivers, before it delivers anything more", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Letters, deliver, delivered, publish } = yield* letters(watched)
          yield* Effect.forEach([1, 2], publish)
          const ready = yield* Deferred.make<void>()
          const first = yield* Effect.forkScoped(Stream.runDrain(
            Letters.relay((delivery) => Effect.zipLeft(deliver(delivery), Deferred.await(ready)), { batch: 1 })
          ))
          yield* Monitor.until(Effect.sync(() => delivered.length), (count) => count === 1)
          const later: Array<number> = []
          yield* Effect.forkScoped(
            Stream.runDrain(Letters.relay(({ message }) => Effect.sync(() => void later.push(message.n))))
          )
          yield* Monitor.until(Effect.sync(() => later.length), (count) => count === 2)
          yield* Deferred.succeed(ready, undefined)
          expect(yield* Effect.flip(Fiber.join(first))).toMatchObject({ _tag: "ConsumerReplaced" })
          expect([delivered, later]).toEqual([[1], [1, 2]])
        })
      ))

    it.effect("sends no operator with nothing in it, which MongoDB 4.4 refuses", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Letters, deliver, delivered, flush, publish } = yield* letters(watched)
          yield* Effect.forEach([1, 2], publish)
          yield* Effect.forkScoped(Stream.runDrain(Letters.relay(deliver)))
          yield* Monitor.until(Effect.sync(() => delivered.length), (count) => count === 2)
          yield* publish(3)
          yield* flush(deliver)
          const updates = [
            ...(yield* watched.monitor.named("update")).flatMap(({ command }) => command["updates"]),
            ...(yield* watched.monitor.named("findAndModify")).map(({ command }) => ({ u: command["update"] }))
          ]
          expect(updates.length).toBeGreaterThan(5)
          for (const { u } of updates) expect(Object.values(u)).not.toContainEqual({})
        })
      ))

    it.effect("delivers a message soon after it was published, without looking for it in vain", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Letters, deliver, delivered, publish } = yield* letters(watched)
          yield* Effect.forkScoped(Stream.runDrain(Letters.relay(deliver)))
          yield* watched.monitor.awaitStarted("getMore", 2)
          for (const n of [1, 2, 3]) {
            yield* publish(n)
            yield* Monitor.until(Effect.sync(() => delivered.length), (count) => count === n, "900 millis")
          }
          expect(delivered).toEqual([1, 2, 3])
        })
      ))

    it.effect("looks for messages by a schedule, if that is asked for, and ends with it", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Letters, deliver, delivered, publish } = yield* letters(watched)
          yield* publish(1)
          const poll = Schedule.intersect(Schedule.recurs(3), Schedule.spaced("10 millis"))
          yield* Stream.runDrain(Letters.relay(deliver, { poll }))
          expect(delivered).toEqual([1])
          // When all was delivered, and three times by the schedule, which begins anew after the delivery.
          const looks = (yield* watched.monitor.named("find")).filter(({ command }) => command["limit"] === 1000)
          expect(looks.length).toBeGreaterThanOrEqual(4)
          expect(looks.length).toBeLessThanOrEqual(6)
        })
      ))

    it.effect("notes no more messages at once than were asked for, and deletes what it has delivered", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Letters, deliver, delivered, messages } = yield* letters(watched)
          yield* Transaction.run(Letters.publishAll(numbers(7).map((n) => ({ n }))))
          yield* watched.monitor.clear
          yield* Stream.runDrain(Letters.relay(deliver, { batch: 3, poll: Schedule.stop }))
          expect(delivered).toEqual(numbers(7))
          const notes = (yield* watched.monitor.named("update")).flatMap(({ command }) => command["updates"])
            .flatMap(({ u }) => u.$set?.delivered === undefined ? [] : [u.$set.delivered.length])
          expect(notes).toEqual([3, 3, 1])
          expect(yield* watched.monitor.named("delete")).toHaveLength(3)
          expect(yield* Effect.promise(() => messages.countDocuments())).toBe(0)
        })
      ))

    it.effect("goes on when the connection is cut in the midst of it", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Letters, deliver, delivered, publish } = yield* letters(watched)
          yield* publish(0)
          yield* Effect.forkScoped(Stream.runDrain(Letters.relay(deliver)))
          yield* Monitor.until(Effect.sync(() => delivered.length), (count) => count === 1)
          const admin = yield* TestServer.driver()
          yield* FailPoint.failCommand(admin, {
            failCommands: ["find", "update", "delete", "getMore"],
            // If all of them hit the waiting getMore, the pauses between its attempts come to 3 s; for nine to 23 s.
            mode: { times: 6 },
            closeConnection: true,
            appName: watched.appName
          })
          yield* publish(1)
          yield* publish(2)
          yield* Monitor.until(Effect.sync(() => delivered.length), (count) => count === 3, "30 seconds")
          expect(delivered).toEqual([0, 1, 2])
        })
      ))
  })

  describe("the order of the messages", () => {
    it.effect("is that in which they were published, within a transaction", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Letters, flush } = yield* letters(watched)
          const ids = yield* Transaction.run(Effect.gen(function*() {
            const first = yield* Letters.publish({ n: 1 })
            const rest = yield* Letters.publishAll([{ n: 2 }, { n: 3 }])
            yield* Letters.publishAll([])
            return [first, ...rest]
          }))
          const deliveries = yield* flush(() => Effect.void)
          expect(deliveries.map(({ id }) => id)).toEqual(ids)
          expect(deliveries.map(({ message }) => message.n)).toEqual([1, 2, 3])
          expect(new Set(ids).size).toBe(3)
        })
      ))

    it.effect("is that of the commits, however many publish at once", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Letters, flush } = yield* letters(watched)
          let clock = 0
          const spans = yield* Effect.forEach(numbers(40), (n) =>
            Effect.gen(function*() {
              const begun = clock++
              yield* Transaction.run(Effect.zipRight(Letters.publish({ n }), Effect.sleep(`${n % 4} millis`)))
              return { n, begun, committed: clock++ }
            }), { concurrency: 6 })
          const deliveries = yield* flush(() => Effect.void)
          const place = new Map(deliveries.map(({ message }, index) => [message.n, index]))
          expect(place.size).toBe(40)
          const wrong = spans.flatMap((a) =>
            spans.filter((b) => a.committed < b.begun && place.get(a.n)! > place.get(b.n)!)
          )
          expect(wrong).toEqual([])
        })
      ))
  })
})
