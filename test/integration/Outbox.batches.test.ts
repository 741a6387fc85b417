import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Outbox from "../../src/Outbox.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { numbers, on } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const ended = { poll: Schedule.stop }

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  const onClient = <A, E, R>(
    test: (watched: Monitor.Watched) => Effect.Effect<A, E, R>,
    options: Parameters<typeof Monitor.withClient>[0] = {}
  ) => Monitor.withClient(options, (watched) => on(watched)(test(watched)))

  const numbered = (watched: Monitor.Watched, options: { readonly sequence?: boolean } = {}) =>
    Effect.gen(function*() {
      const database = yield* TestServer.database
      const Numbers = Outbox.make("numbers", { database, schema: Schema.Struct({ n: Schema.Number }), ...options })
      const db = watched.client.driver.db(database)
      const delivered: Array<number> = []
      return {
        db,
        Numbers,
        delivered,
        messages: db.collection("effect_mongo_session.outbox.numbers"),
        state: db.collection<{ _id: string }>("effect_mongo_session.outboxes"),
        publish: (...all: ReadonlyArray<number>) => Transaction.run(Numbers.publishAll(all.map((n) => ({ n })))),
        deliver: ({ message }: { readonly message: { readonly n: number } }) =>
          Effect.sync(() => void delivered.push(message.n))
      }
    })

  describe("publishing", () => {
    it.effect("of many messages in one transaction is one insert", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, deliver, delivered } = yield* numbered(watched)
          const part = (n: number) => Transaction.run(Numbers.publish({ n }))
          yield* watched.monitor.clear
          yield* Transaction.run(Effect.forEach(numbers(200), part, { discard: true }))
          expect((yield* watched.monitor.commands).map(({ name }) => name)).toEqual(["insert", "commitTransaction"])
          yield* Stream.runDrain(Numbers.relay(deliver, ended))
          expect(delivered).toEqual(numbers(200))
        })
      ))

    it.effect("by what was put off until the commit comes after what was published before", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, deliver, delivered } = yield* numbered(watched)
          yield* Transaction.run(Effect.gen(function*() {
            yield* Transaction.beforeCommit(Numbers.publish({ n: 3 }))
            yield* Numbers.publish({ n: 1 })
            yield* Transaction.beforeCommit(Numbers.publish({ n: 4 }))
            yield* Numbers.publish({ n: 2 })
          }))
          yield* Stream.runDrain(Numbers.relay(deliver, ended))
          expect(delivered.slice().sort()).toEqual([1, 2, 3, 4])
          expect(delivered.indexOf(1)).toBeLessThan(delivered.indexOf(2))
        })
      ))

    it.effect("under manual control is of the transaction in which it is done", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, deliver, delivered } = yield* numbered(watched)
          yield* Transaction.run(Effect.gen(function*() {
            yield* Numbers.publish({ n: 1 })
            yield* Transaction.abort
            yield* Transaction.start()
            yield* Numbers.publish({ n: 2 })
            yield* Transaction.commit
          }))
          yield* Stream.runDrain(Numbers.relay(deliver, ended))
          expect(delivered).toEqual([2])
        })
      ))

    it.effect("in a transaction that is run again is of its last run", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, deliver, delivered } = yield* numbered(watched)
          yield* Monitor.fail(watched, {
            failCommands: ["commitTransaction"],
            errorCode: 112,
            errorLabels: ["TransientTransactionError"],
            mode: { times: 2 }
          })
          let run = 0
          yield* Transaction.run(Effect.suspend(() => Numbers.publish({ n: ++run })))
          yield* Stream.runDrain(Numbers.relay(deliver, ended))
          expect(delivered).toEqual([3])
        })
      ))

    it.effect("with a sequence numbers the messages in the order of the commits, without gaps", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers } = yield* numbered(watched, { sequence: true })
          yield* Effect.forEach(
            numbers(30),
            (n) =>
              Transaction.run(Effect.zipRight(
                Numbers.publish({ n }),
                n % 5 === 0 ? Transaction.rollbackOnly : Effect.void
              )),
            { concurrency: 6 }
          )
          const deliveries = Chunk.toReadonlyArray(yield* Stream.runCollect(Numbers.relay(() => Effect.void, ended)))
          expect(deliveries.map(({ sequence }) => Option.getOrNull(sequence))).toEqual(numbers(24).map((n) => n + 1))
        })
      ))
  })

  describe("a relay", () => {
    it.effect("delivers 1,000 messages in less than half a second", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, deliver, delivered, publish } = yield* numbered(watched)
          yield* publish(0)
          yield* Stream.runDrain(Numbers.relay(deliver, ended))
          // What else the machine does takes its time from some of them.
          const times: Array<number> = []
          while (times.length < 10 && !times.some((time) => time < 500)) {
            yield* publish(...numbers(1000))
            const [time] = yield* Effect.timed(Stream.runDrain(Numbers.relay(deliver, { ...ended, batch: 500 })))
            times.push(Duration.toMillis(time))
          }
          expect(delivered).toEqual([0, ...times.flatMap(() => numbers(1000))])
          expect(Math.min(...times)).toBeLessThan(500)
        })
      ))

    it.effect("delivers several at once if that is asked for, but those of one key one after the other", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, publish } = yield* numbered(watched)
          yield* publish(...numbers(40))
          const running = new Map<number, number>()
          const byKey = new Map<number, Array<number>>()
          let most = 0
          yield* Stream.runDrain(Numbers.relay(({ message: { n } }) =>
            Effect.gen(function*() {
              const key = n % 8
              expect(running.has(key)).toBe(false)
              running.set(key, n)
              most = Math.max(most, running.size)
              yield* Effect.sleep(`${(n * 7) % 5} millis`)
              byKey.set(key, [...byKey.get(key) ?? [], n])
              running.delete(key)
            }), { ...ended, concurrency: 4, orderBy: ({ message }) => message.n % 8 }))
          expect(most).toBe(4)
          for (const [key, order] of byKey) expect(order).toEqual(numbers(5).map((n) => n * 8 + key))
          expect(byKey.size).toBe(8)
        })
      ))

    it.effect("whose key cannot be told is no defect of the relay, but set aside like one that cannot be delivered", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, deliver, delivered, publish } = yield* numbered(watched)
          yield* publish(...numbers(6))
          const orderBy = ({ message }: { readonly message: { readonly n: number } }) => {
            if (message.n === 3) throw new Error("no key")
            return message.n % 2
          }
          const options = { ...ended, concurrency: 4, orderBy, onPoison: "setAside" } as const
          yield* Stream.runDrain(Numbers.relay(deliver, options))
          expect([...delivered].sort()).toEqual([0, 1, 2, 4, 5])
          expect(yield* Stream.runCollect(Numbers.deadLetters.list)).toHaveLength(1)
        })
      ))

    it.effect("that fails or is interrupted within a batch has noted what it had delivered", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, deliver, delivered, publish } = yield* numbered(watched)
          yield* publish(...numbers(10))
          const fiber = yield* Effect.fork(
            Stream.runDrain(Numbers.relay((delivery) => delivery.message.n === 3 ? Effect.never : deliver(delivery)))
          )
          yield* Monitor.until(Effect.sync(() => delivered.length), (count) => count === 3)
          yield* Fiber.interrupt(fiber)
          expect(yield* Numbers.pending).toBe(7)
          yield* Effect.flip(
            Stream.runDrain(
              Numbers.relay((delivery) => delivery.message.n === 6 ? Effect.fail("no") : deliver(delivery))
            )
          )
          expect(yield* Numbers.pending).toBe(4)
          yield* Stream.runDrain(Numbers.relay(deliver, ended))
          expect(delivered).toEqual(numbers(10))
        })
      ))

    it.effect("gives what it has delivered of a batch, before it fails with the next", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, publish } = yield* numbered(watched)
          yield* publish(1, 2, 3)
          const given: Array<number> = []
          yield* Numbers.relay(({ message }) => message.n === 3 ? Effect.fail("no") : Effect.void).pipe(
            Stream.runForEach(({ message }) => Effect.sync(() => void given.push(message.n))),
            Effect.flip
          )
          expect(given).toEqual([1, 2])
        })
      ))

    it.effect("delivers what is there when the oplog no longer reaches back to its place, and then what comes", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, deliver, delivered, publish } = yield* numbered(watched)
          yield* publish(0)
          yield* Stream.runDrain(Numbers.relay(deliver, ended))
          yield* Effect.forEach([1, 2, 3], (n) => publish(n))
          yield* Monitor.fail(watched, { failCommands: ["aggregate"], errorCode: 286, mode: { times: 1 } })
          yield* Effect.forkScoped(Stream.runDrain(Numbers.relay(deliver)))
          yield* Monitor.until(Effect.sync(() => delivered.length), (count) => count === 4)
          yield* publish(4)
          yield* Monitor.until(Effect.sync(() => delivered.length), (count) => count === 5)
          // Once in vain, and then from the time before what is there was read.
          expect(yield* watched.monitor.named("aggregate")).toHaveLength(3)
          expect(delivered).toEqual(numbers(5))
        })
      ))

    it.effect("delivers what is there and does not come by itself", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, deliver, delivered, publish, state } = yield* numbered(watched)
          yield* publish(1, 2)
          yield* Effect.promise(() => watched.client.driver.db().collection("elsewhere").insertOne({}))
          const { operationTime } = yield* Effect.promise(() => watched.client.driver.db().command({ ping: 1 }))
          yield* Effect.promise(() =>
            state.updateOne({ _id: "numbers/relay" }, { $set: { time: operationTime } }, { upsert: true })
          )
          yield* Stream.runDrain(Numbers.relay(deliver, ended))
          expect(delivered).toEqual([1, 2])
        })
      ))

    it.effect("delivers what no change stream tells, and what comes after its collection was dropped", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { db, Numbers, deliver, delivered, messages, publish } = yield* numbered(watched)
          yield* publish(1)
          yield* Effect.promise(() => messages.rename("elsewhere"))
          yield* Effect.forkScoped(Stream.runDrain(Numbers.relay(deliver)))
          yield* publish(2)
          yield* Monitor.until(Effect.sync(() => delivered.length), (count) => count === 1)
          yield* Monitor.until(Numbers.pending, (left) => left === 0)
          yield* Effect.promise(() => messages.drop())
          yield* Effect.promise(() => db.collection("elsewhere").rename(messages.collectionName))
          yield* Monitor.until(Effect.sync(() => delivered.length), (count) => count === 2, "20 seconds")
          yield* publish(3)
          yield* Monitor.until(Effect.sync(() => delivered.length), (count) => count === 3, "20 seconds")
          expect(delivered).toEqual([2, 1, 3])
        })
      ))

    it.effect("does not run in the ambient session, and is refused in a transaction", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, deliver, delivered, publish } = yield* numbered(watched)
          const session = yield* Monitor.session(watched)
          expect(yield* Effect.flip(Transaction.run(Stream.runDrain(Numbers.relay(deliver)))))
            .toMatchObject({ _tag: "InvalidInTransaction", operation: "relay" })
          yield* Session.provide(
            Effect.zipRight(publish(1), Stream.runDrain(Numbers.relay(deliver, ended))),
            session
          )
          expect(delivered).toEqual([1])
          const getMores = yield* watched.monitor.named("getMore")
          expect(getMores.map(({ lsid }) => lsid)).not.toContain(session.id.hex)
        })
      ))

    it.effect("refuses options that are none, before anything is sent", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, deliver } = yield* numbered(watched)
          yield* watched.monitor.clear
          const wrong: object = { batch: 0, concurrency: 1.5, onPoison: "ignore", batchSize: 3 }
          const error = yield* Effect.flip(Stream.runDrain(Numbers.relay(deliver, wrong)))
          expect("issues" in error && error.issues.map(({ path }) => path.join(".")).sort())
            .toEqual(["batch", "batchSize", "concurrency", "onPoison"])
          expect(yield* watched.monitor.commands).toEqual([])
        })
      ))
  })

  describe("messages are delivered as the client's options have them", () => {
    it.effect("such as bigints, which were asked for", () =>
      onClient(() =>
        Effect.gen(function*() {
          const database = yield* TestServer.database
          const Big = Outbox.make("big", { database, schema: Schema.Struct({ n: Schema.BigIntFromSelf }) })
          yield* Transaction.run(Big.publishAll([{ n: 5n }, { n: 2n ** 60n }]))
          const deliveries = yield* Stream.runCollect(Big.relay(() => Effect.void, ended))
          expect(Chunk.toReadonlyArray(deliveries).map(({ message }) => message.n)).toEqual([5n, 2n ** 60n])
        }), { driver: { useBigInt64: true } }))

    it.effect("such as numbers as they are stored, of an outbox with a sequence", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, delivered, publish } = yield* numbered(watched, { sequence: true })
          yield* publish(1, 2)
          const failing = Stream.runDrain(Numbers.relay(() => Effect.fail("no")))
          yield* Effect.flip(failing)
          expect(yield* Effect.flip(failing)).toMatchObject({ sequence: 1, attempts: 2 })
          expect(delivered).toEqual([])
        }), { driver: { promoteLongs: false } }))
  })
})
