import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as ChangeStream from "../../src/ChangeStream.js"
import * as Outbox from "../../src/Outbox.js"
import * as Transaction from "../../src/Transaction.js"
import { numbers, onClient } from "../support/data/collections.js"
import { consuming } from "../support/data/consumers.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

// A server that sorts as little in its memory as another one does of large documents.
const layered = layer(
  TestServer.own({ parameters: { internalQueryMaxBlockingSortMemoryUsageBytes: 100_000 } }),
  { excludeTestServices: true }
)

const large = "a".repeat(50_000)

// MongoDB before 6.0 has no such parameter: it uses the disk only for whoever asks for it.
const diskOnRequest = Effect.flatMap(
  TestServer.driver(),
  (admin) =>
    Effect.ignore(Effect.tryPromise(() => admin.db("admin").command({ setParameter: 1, allowDiskUseByDefault: false })))
)

layered((it) => {
  describe("more dead letters than the server sorts in its memory are listed, the oldest first:", () => {
    it.effect("of an outbox, in a transaction, too", () =>
      onClient(() =>
        Effect.gen(function*() {
          yield* diskOnRequest
          const database = yield* TestServer.database
          const Large = Outbox.make("large", { database })
          yield* Transaction.run(Large.publishAll(numbers(5).map((n) => ({ n, large }))))
          yield* Stream.runDrain(
            Large.relay(() => Effect.fail("no"), { onPoison: "setAside", poll: Schedule.stop })
          )
          const listed = Effect.map(
            Stream.runCollect(Large.deadLetters.list),
            (found) => Chunk.toReadonlyArray(found).map(({ message }) => Reflect.get(Object(message), "n"))
          )
          expect(yield* listed).toEqual(numbers(5))
          expect(yield* Transaction.run(listed)).toEqual(numbers(5))
        })
      ))

    it.effect("of a consumer", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          yield* diskOnRequest
          const { changes, database, db, start } = yield* consuming(watched)
          yield* start(ChangeStream.consume(changes, "consumer", () => Effect.fail("no"), { onPoison: "setAside" }))
          yield* Effect.promise(() =>
            db.collection<{ _id: number; large: string }>("things").insertMany(
              numbers(5).map((_id) => ({ _id, large }))
            )
          )
          const letters = db.collection("effect_mongo_session.deadLetters")
          yield* Monitor.until(Effect.promise(() => letters.countDocuments()), (count) => count === 5)
          const { list } = ChangeStream.deadLetters(changes, "consumer", { database })
          const found = Chunk.toReadonlyArray(yield* Stream.runCollect(list))
          expect(found.map(({ document }) => document["documentKey"])).toEqual(numbers(5).map((_id) => ({ _id })))
        })
      ))
  })
})
