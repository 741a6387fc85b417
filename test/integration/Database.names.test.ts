import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as ChangeStream from "../../src/ChangeStream.js"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as Lease from "../../src/Lease.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Once from "../../src/Once.js"
import * as Outbox from "../../src/Outbox.js"
import * as Steps from "../../src/Steps.js"
import * as Transaction from "../../src/Transaction.js"
import { onClient, sent } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"

const databases = ["", "a.b", "a b", "a/b", "a\\b", "a\"b", "a$b", "a\0b", "x".repeat(64)]
const collections = ["", ".a", "a$b", "a\0b", "x".repeat(254)]

type Failing = Effect.Effect<unknown, { readonly _tag: string }, MongoClient.MongoClient>

/** Operations of each kind on a collection of these names. */
const operationsOn = (database: string, name: string): Readonly<Record<string, Failing>> => {
  const Raw = Collection.make(name, { database })
  return {
    insertOne: Raw.insertOne({}),
    findOne: Raw.findOne(),
    findById: Raw.findById(1),
    find: Stream.runDrain(Raw.find()),
    aggregate: Stream.runDrain(Raw.aggregate([])),
    deleteMany: Raw.deleteMany({}),
    createIndex: Raw.createIndex({ a: 1 }),
    watch: Stream.runDrain(Raw.watch()),
    use: Raw.use((collection) => collection.findOne()),
    renameFrom: Raw.rename("b"),
    renameTo: Collection.make("a", { database: "ab" }).rename(name),
    createCollection: Database.make(database).createCollection(name),
    bulkOfClient: MongoClient.bulkWrite([{ namespace: `${database}.${name}`, name: "insertOne", document: {} }]),
    inTransaction: Transaction.run(Raw.insertOne({}))
  }
}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a name that no server takes", () => {
    const refusals = (all: Readonly<Record<string, Failing>>, expected: object) =>
      Effect.forEach(
        Object.entries(all),
        ([name, effect]) =>
          Effect.map(Effect.flip(Effect.asVoid(effect)), (error) => {
            expect(error, name).toMatchObject(expected)
            // The name may be a secret that came to the wrong place.
            expect(error, name).not.toHaveProperty("namespace")
          })
      )

    const refused = (what: string) => ({
      _tag: "MongoError",
      reason: "InvalidOptions",
      hint: expect.stringContaining(what)
    })

    it.effect("of a collection is refused by each operation, and nothing is sent", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          for (const name of collections) {
            yield* refusals(operationsOn("a", name), refused("The collection needs another name"))
          }
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("of a database is refused by each operation, and nothing is sent", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          for (const name of databases) {
            const { bulkOfClient, renameTo: _, ...rest } = operationsOn(name, "a")
            const shop = Database.make(name)
            yield* refusals({
              ...rest,
              command: shop.command({ ping: 1 }),
              runCursorCommand: Stream.runDrain(shop.runCursorCommand({ find: "a" })),
              listCollections: Stream.runDrain(shop.listCollections()),
              aggregateOfDatabase: Stream.runDrain(shop.aggregate([{ $documents: [] }])),
              watchOfDatabase: Stream.runDrain(shop.watch()),
              stats: shop.stats(),
              drop: shop.drop(),
              collectionOfDatabase: shop.collection("a").countDocuments(),
              // A point in it is the end of its name.
              ...(name === "a.b" ? {} : { bulkOfClient })
            }, refused("The database needs another name"))
          }
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("is refused as an option by what is given with others", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const misconfigured = (database: string, collection: string, path: string) =>
            refusals({
              lease: Effect.scoped(Lease.make("a", { database, collection }).acquire),
              once: Once.make("a", { database, collection }).run("key", Effect.void),
              steps: Steps.make("a", { version: 1, database, collection }).run("id", () => Effect.void),
              outbox: Transaction.run(Outbox.make("a", { database, collection }).publish({})),
              consume: ChangeStream.consume(
                Collection.make("a").watch(),
                "a",
                () => Effect.void,
                { database, collection }
              )
            }, { _tag: "SessionMisconfigured", issues: [{ path: [path] }] })
          for (const name of databases) yield* misconfigured(name, "a", "database")
          for (const name of collections) yield* misconfigured("a", name, "collection")
          for (const name of collections) {
            yield* refusals({
              steps: Steps.make("a", { version: 1, onceCollection: name }).run("id", () => Effect.void)
            }, { _tag: "SessionMisconfigured", issues: [{ path: ["onceCollection"] }] })
            for (const option of ["stateCollection", "deadLetterCollection"]) {
              yield* refusals({
                outbox: Transaction.run(Outbox.make("a", { [option]: name }).publish({}))
              }, { _tag: "SessionMisconfigured", issues: [{ path: [option] }] })
            }
          }
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("is too long with its database's, wherever it is made", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const database = "x".repeat(63)
          const long = "x".repeat(192)
          // The other collection that it is renamed to is in a database with a short name.
          const { publish: _, renameTo: __, ...rest } = operationsOn(database, long)
          yield* refusals(rest, refused("at most 255 bytes"))
          yield* refusals({
            once: Once.make("a", { database, collection: long }).run("key", Effect.void),
            lease: Effect.scoped(Lease.make("a", { database, collection: long }).acquire),
            steps: Steps.make("a", { version: 1, database, collection: long }).run("id", () => Effect.void)
          }, refused("at most 255 bytes"))
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("is refused as the database of a client before it connects", () =>
      Effect.gen(function*() {
        for (const database of databases) {
          const made = Layer.build(MongoClient.layer({ url: Redacted.make("mongodb://nowhere.invalid"), database }))
          expect(yield* Effect.flip(Effect.scoped(made))).toMatchObject({
            _tag: "MongoError",
            reason: "InvalidOptions",
            message: expect.stringContaining("database: expected the name of a database")
          })
        }
      }))

    it.effect("is one that the server refuses, too, and one that is taken here is taken there", () =>
      onClient(({ client: { driver } }) =>
        Effect.gen(function*() {
          const isTaken = (database: string, collection: string) =>
            Effect.promise(() =>
              Promise.resolve()
                .then(() => driver.db(database).command({ insert: collection, documents: [{ _id: 1 }] }))
                .then(() => true, () => false)
            )
          const own = yield* TestServer.database
          // The driver takes the empty one for its default.
          for (const name of databases.slice(1)) expect(yield* isTaken(name, "a"), name).toBe(false)
          for (const name of collections) expect(yield* isTaken(own, name), name).toBe(false)
          const longest = "x".repeat(254 - own.length)
          expect(yield* isTaken(own, `${longest}x`)).toBe(false)
          for (const name of ["a", "a.b", "a.", "a b/c", "é", "😀", longest]) {
            expect(yield* isTaken(own, name), name).toBe(true)
          }
          // It has users, and so it is one for commands.
          expect(yield* isTaken("$external", "a")).toBe(false)
          yield* Effect.promise(() => driver.db("$external").command({ usersInfo: 1 }))
          for (const name of [own, `${own}-é`, `${own}_${"x".repeat(62 - own.length)}`]) {
            expect(yield* isTaken(name, "a"), name).toBe(true)
            yield* Effect.promise(() => driver.db(name).dropDatabase())
          }
        })
      ))
  })
})
