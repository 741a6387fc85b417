import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import { InvalidInTransaction } from "../../src/SessionErrors.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import * as TransactionOptions from "../../src/TransactionOptions.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace } from "../support/transactions/transactions.js"

const optionsOf = Effect.map(Transaction.Transaction, ({ options }) => options)

/** The server's URL with a read preference that no transaction can have. */
const preferring = Effect.map(MongoServer.MongoServer, ({ url }) => {
  const path = /^[^/]+\/\/[^/?]+$/.test(url) ? `${url}/` : url
  return Redacted.make(`${path}${url.includes("?") ? "&" : "?"}readPreference=secondaryPreferred`)
})

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("transactions of a client", () => {
    it.effect("have its defaults, where neither they nor their session say otherwise", () =>
      inPlace(
        () =>
          Effect.gen(function*() {
            expect(yield* Transaction.run(optionsOf)).toMatchObject({
              readConcern: { level: "snapshot" },
              writeConcern: { w: 1 },
              maxCommitTime: Duration.seconds(3),
              timeout: Duration.seconds(9)
            })
            const session = { defaultTransactionOptions: { readConcern: "majority", timeout: "8 seconds" } } as const
            expect(
              yield* Session.scoped(Transaction.run(optionsOf, { maxCommitTime: "1 second" }), session)
            ).toMatchObject({
              readConcern: { level: "majority" },
              writeConcern: { w: 1 },
              maxCommitTime: Duration.seconds(1),
              timeout: Duration.seconds(8)
            })
            const own = Session.scoped(Transaction.run(optionsOf), { timeout: "7 seconds" })
            expect(yield* own).toMatchObject({ timeout: Duration.seconds(7) })
          }),
        {
          timeout: "1 minute",
          transactions: { readConcern: "snapshot", writeConcern: 1, maxCommitTime: "3 seconds", timeout: "9 seconds" }
        }
      ))

    it.effect("that read are told where a read preference of the URL comes from, and how to do without", () =>
      Effect.flatMap(preferring, (url) =>
        inPlace(({ insert, items }) =>
          Effect.gen(function*() {
            const Items = Collection.make(items.collectionName, { database: items.dbName })
            const error = yield* Effect.flip(Transaction.run(Effect.zipRight(insert(1), Items.findOne())))
            expect(error).toBeInstanceOf(InvalidInTransaction)
            expect(error).toMatchObject({ option: "readPreference", source: "transaction" })
            expect(error instanceof InvalidInTransaction && error.hint).toContain("transactions: { readPreference")
          }), { url })))

    it.effect("read where the client's defaults are other than its URL's", () =>
      Effect.flatMap(preferring, (url) =>
        inPlace(({ insert, items }) =>
          Effect.gen(function*() {
            const Items = Collection.make(items.collectionName, { database: items.dbName })
            const found = yield* Transaction.run(
              Effect.zipRight(insert(1), Effect.map(Stream.runCollect(Items.find()), Chunk.toReadonlyArray))
            )
            expect(found).toEqual([{ _id: 1 }])
          }), { url, transactions: { readPreference: "primary" } })))

    it.effect("have those of a configuration", () =>
      Effect.gen(function*() {
        const { url } = yield* MongoServer.MongoServer
        const client = yield* MongoClient.makeConfig({
          url: Config.succeed(Redacted.make(url)),
          transactions: TransactionOptions.config("TX")
        }).pipe(
          Effect.withConfigProvider(
            ConfigProvider.fromMap(new Map([["TX_READ_CONCERN", "majority"]]), { pathDelim: "_" })
          )
        )
        const options = yield* Effect.provideService(Transaction.run(optionsOf), MongoClient.MongoClient, client)
        expect(options.readConcern).toEqual({ level: "majority" })
      }).pipe(Effect.scoped))

    it.effect("with defaults that are none are refused, before anything is sent", () =>
      Effect.gen(function*() {
        const wrong = { writeConcern: 0, readConcrn: "local", readPreference: { mode: "primary", tags: [{ a: "b" }] } }
        const error = yield* Effect.flip(MongoClient.make({
          url: Redacted.make("mongodb://127.0.0.1:1"),
          transactions: wrong as TransactionOptions.TransactionOptions
        }))
        expect(error).toMatchObject({ _tag: "MongoError", reason: "InvalidOptions" })
        for (
          const path of ["transactions.writeConcern", "transactions.readConcrn", "transactions.readPreference.tags"]
        ) {
          expect(error.message).toContain(path)
        }
      }).pipe(Effect.scoped))
  })
})
