import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Driver from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as Filter from "../../src/Filter.js"
import { ofClient } from "../../src/internal/driver/privates.js"
import * as Session from "../../src/Session.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace } from "../support/transactions/transactions.js"
import * as Monitor from "../support/watch/monitor.js"

const open = (client: Driver.MongoClient): number => [...ofClient(client).s.activeCursors].length

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("an explanation", () => {
    it.effect("leaves no cursor of the driver behind, also where it fails", () =>
      inPlace(({ client, insert, items }) =>
        Effect.gen(function*() {
          yield* insert(1)
          const Items = Collection.make(items.collectionName, { database: items.dbName })
          const all = Effect.all([
            Items.explainFind(),
            Items.explainAggregate([{ $match: { _id: 1 } }]),
            Effect.flip(Items.explainFind(Filter.unsafe({ $nonsense: 1 }))),
            Effect.flip(Items.explainAggregate([{ $nonsense: 1 }]))
          ])
          const before = open(client.driver)
          yield* Effect.replicateEffect(all, 25, { discard: true })
          yield* Session.detached(Effect.replicateEffect(all, 25, { discard: true }))
          expect(open(client.driver)).toBe(before)
        }).pipe(Session.scoped())
      ))

    it.effect("does not keep a later read that is given up from being killed", () =>
      inPlace(({ failing, insert, items, monitor }) =>
        Effect.gen(function*() {
          yield* Effect.forEach([1, 2, 3, 4], insert)
          const Items = Collection.make(items.collectionName, { database: items.dbName })
          yield* Items.explainFind()
          yield* Items.explainAggregate([])
          yield* monitor.clear
          yield* failing({ failCommands: ["find"], mode: "alwaysOn", blockFor: "20 millis" })
          const fiber = yield* Effect.fork(
            Session.use((session, signal) => items.find({}, { session, signal, batchSize: 2 }).toArray())
          )
          yield* Monitor.until(monitor.named("find"), (finds) => finds.length > 0)
          yield* Fiber.interrupt(fiber)
          expect(yield* monitor.named("killSessions")).toHaveLength(1)
          expect(yield* Monitor.openCursors(monitor)).toBe(0)
        }).pipe(Session.scoped())
      ))
  })
})
