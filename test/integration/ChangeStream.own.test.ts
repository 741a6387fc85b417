import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as ChangeStream from "../../src/ChangeStream.js"
import { raw } from "../../src/Codec.js"
import * as Outbox from "../../src/Outbox.js"
import * as Transaction from "../../src/Transaction.js"
import { changing, follow, idOf, told } from "../support/data/changes.js"
import { onClient } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("what the library writes for itself", () => {
    it.effect("is no event for consumers of the database, wherever each has its checkpoint", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database, db, put } = yield* changing(watched)
          const calls: Array<unknown> = []
          for (const collection of ["first_notes", "second_notes", "effect_mongo_session.checkpoints"]) {
            yield* Effect.forkScoped(
              ChangeStream.consume(
                ChangeStream.watch({ database }, raw, [], { fullDocument: "updateLookup" }),
                collection,
                (event) => Effect.sync(() => void calls.push(idOf(event))),
                { collection, idleCheckpoint: "1 millis" }
              )
            )
            yield* Monitor.until(
              // Where it stands it notes when its stream is open.
              Effect.promise(() =>
                db.collection(collection).countDocuments({
                  $or: ["time", "token"].map((key) => ({ [key]: { $exists: true } }))
                })
              ),
              (count) => count === 1
            )
          }
          yield* put(1)
          yield* Monitor.until(Effect.sync(() => calls.length), (count) => count >= 3)
          // Each note would have been an event by now.
          yield* Effect.sleep("500 millis")
          expect(calls).toEqual([1, 1, 1])
        })
      ))

    it.effect("is no event for a consumer of the collection in which it has its checkpoint", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, collection, put } = yield* changing(watched)
          const calls: Array<unknown> = []
          yield* Effect.forkScoped(
            ChangeStream.consume(changes, "consumer", (event) => Effect.sync(() => void calls.push(idOf(event))), {
              collection: collection.collectionName
            })
          )
          yield* Monitor.until(Effect.promise(() => collection.countDocuments()), (count) => count === 1)
          yield* watched.monitor.awaitStarted("getMore")
          yield* put(1)
          yield* Monitor.until(Effect.sync(() => calls.length), (count) => count >= 1)
          yield* Effect.sleep("300 millis")
          expect(calls).toEqual([1])
        })
      ))

    it.effect("of an outbox is told to nobody who does not ask for it, be it inserted, changed or deleted", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database, put } = yield* changing(watched)
          const Letters = Outbox.make("letters", {
            database,
            collection: "mails",
            stateCollection: "states",
            deadLetterCollection: "graveyard",
            sequence: true
          })
          const changes = (showOwn?: boolean) => ChangeStream.watch({ database }, raw, [], { showOwn })
          const usual = yield* follow(watched, changes())
          const all = yield* follow(watched, changes(true))
          yield* put(1)
          yield* Transaction.run(Letters.publishAll([{ n: 1 }, { n: 2 }]))
          yield* Stream.runDrain(Letters.relay(({ message }) => message["n"] === 1 ? Effect.void : Effect.fail("no"), {
            poll: Schedule.stop,
            onPoison: "setAside",
            retry: Schedule.recurs(1)
          }))
          yield* Stream.runForEach(Letters.deadLetters.list, ({ id }) => Letters.deadLetters.drop(id))
          yield* put(2)
          expect(told(yield* usual.until(2))).toEqual(["insert 1", "insert 2"])
          const kinds = new Set(
            (yield* all.until(15)).map((event) =>
              "namespace" in event ? `${event._tag} ${JSON.stringify(event.namespace)}` : ""
            )
          )
          for (const kind of ["insert", "update", "delete"]) {
            expect([...kinds].some((one) => one.startsWith(`${kind} `) && one.includes("mails"))).toBe(true)
          }
        })
      ))
  })
})
