import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { BSONRegExp } from "mongodb"
import * as ChangeStream from "../../src/ChangeStream.js"
import { fromSchema } from "../../src/Codec.js"
import * as Once from "../../src/Once.js"
import * as Outbox from "../../src/Outbox.js"
import * as Transaction from "../../src/Transaction.js"
import { onClient } from "../support/data/collections.js"
import { consuming } from "../support/data/consumers.js"
import { onKeys } from "../support/once/keys.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

// JavaScript can't parse the first, and has no option `x`.
const expressions = [new BSONRegExp("(?i)a"), new BSONRegExp("a b", "x")]

const listed = <A, E, R>(list: Stream.Stream<A, E, R>) => Effect.map(Stream.runCollect(list), Chunk.toReadonlyArray)

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a regular expression that JavaScript does not have comes back from the library's own collections:", () => {
    it.effect("as a message, which is delivered, set aside, listed, published again and dropped", () =>
      onClient(() =>
        Effect.gen(function*() {
          const database = yield* TestServer.database
          const Expressions = Outbox.make("expressions", { database })
          const messages = expressions.map((t) => ({ t }))
          const ids = yield* Transaction.run(Expressions.publishAll(messages))
          const came: Array<unknown> = []
          const relay = (outcome: Effect.Effect<void, string>) =>
            listed(Expressions.relay(({ message }) => Effect.zipRight(Effect.sync(() => came.push(message)), outcome), {
              onPoison: "setAside",
              poll: Schedule.stop
            }))
          expect(yield* relay(Effect.fail("no"))).toEqual([])
          const { drop, list, retry } = Expressions.deadLetters
          expect((yield* listed(list)).map(({ message }) => message)).toEqual(messages)
          for (const id of ids) expect(yield* retry(id)).toBe(true)
          expect((yield* relay(Effect.void)).map(({ message }) => message)).toEqual(messages)
          expect(came).toEqual([...messages, ...messages])
          yield* Transaction.run(Expressions.publishAll(messages))
          yield* relay(Effect.fail("no"))
          for (const { id } of yield* listed(list)) expect(yield* drop(id)).toBe(true)
          expect(yield* listed(list)).toEqual([])
        })
      ))

    it.effect("as an event that was set aside, which is listed, handled and dropped", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database, db, start, target } = yield* consuming(watched)
          const schema = Schema.Struct({ _id: Schema.Number, t: Schema.Any })
          const changes = ChangeStream.watch(target, fromSchema(schema))
          yield* start(ChangeStream.consume(changes, "consumer", () => Effect.fail("no"), { onPoison: "setAside" }))
          const documents = expressions.map((t, _id) => ({ _id, t }))
          yield* Effect.promise(() => db.collection<{ _id: number; t: BSONRegExp }>("things").insertMany(documents))
          const { drop, list, retry } = ChangeStream.deadLetters(changes, "consumer", { database })
          const raws = db.collection("effect_mongo_session.deadLetters")
          yield* Monitor.until(Effect.promise(() => raws.countDocuments()), (count) => count === 2)
          const [first, second] = yield* listed(list)
          expect([first, second].map((letter) => letter?.document["fullDocument"])).toEqual(documents)
          const handled: Array<unknown> = []
          expect(
            yield* retry(first!.id, (event) =>
              Effect.sync(() => handled.push("fullDocument" in event && event.fullDocument)))
          ).toBe(true)
          expect(handled).toEqual([Option.some(documents[0])])
          expect(yield* drop(second!.id)).toBe(true)
        })
      ))

    it.effect("as what an effect that is run once has succeeded with, or failed with", () =>
      onKeys(({ database }) =>
        Effect.gen(function*() {
          const Doing = Once.make("doing", {
            database,
            result: Schema.Unknown,
            failure: Schema.Struct({ t: Schema.Unknown })
          })
          for (const [key, t] of Object.entries(expressions)) {
            const fresh = yield* Doing.run(key, Effect.succeed({ t }))
            expect(yield* Doing.run(key, Effect.die("runs again"))).toEqual(fresh)
            expect(fresh).toEqual({ t })
            yield* Effect.flip(Effect.asVoid(Doing.run(`failing ${key}`, Effect.fail({ t }))))
            const stored = Effect.asVoid(Doing.run(`failing ${key}`, Effect.die("runs again")))
            expect(yield* Effect.flip(stored)).toEqual({ t })
          }
        })
      ))
  })
})
