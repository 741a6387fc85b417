import { describe, expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Collection from "../../src/Collection.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace } from "../support/transactions/transactions.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("an operation outside of an open transaction", () => {
    it.effect(
      "that waits for the transaction is told in the log, with what waits and why",
      () =>
        inPlace(({ insert, items, stored }) =>
          Effect.gen(function*() {
            const Items = Collection.make(items.collectionName, { database: items.dbName })
            const audit = Items.updateOne({ _id: 1 }, { $set: { seen: true } }, { upsert: true })
            const told = yield* logged((entries) =>
              Effect.gen(function*() {
                const body = Effect.zipRight(insert(1), Effect.timeoutOption(Transaction.outside(audit), "6 seconds"))
                yield* Effect.exit(Transaction.run(body))
                return entries
              })
            )
            const warned = told.filter(({ message }) => message === Telemetry.messages.outside)
            expect(warned).toHaveLength(1)
            expect(warned[0]?.annotations).toMatchObject({
              operation: `updateOne on ${items.dbName}.${items.collectionName}`,
              attempt: 1
            })
            yield* stored
          }), { settleTimeout: "500 millis" }),
      Duration.toMillis("1 minute")
    )

    it.effect(
      "that is quick is not, nor one in a hook, when the transaction is over",
      () =>
        inPlace(({ failing, insert, items }) =>
          Effect.gen(function*() {
            const Items = Collection.make(items.collectionName, { database: items.dbName })
            const told = yield* logged((entries) =>
              Effect.gen(function*() {
                yield* failing({ failCommands: ["aggregate"], mode: "alwaysOn", blockFor: "5500 millis" })
                yield* Transaction.run(
                  Effect.all([
                    insert(1),
                    Transaction.outside(Items.insertOne({ _id: 2 })),
                    Transaction.onCommit(Items.countDocuments())
                  ])
                )
                return entries
              })
            )
            expect(told.filter(({ message }) => message === Telemetry.messages.outside)).toEqual([])
          })
        ),
      Duration.toMillis("1 minute")
    )
  })
})
