import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Database from "../../src/Database.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { on, sent, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const readConcerns = (watched: Monitor.Watched) =>
  Effect.map(watched.monitor.named("find"), (seen) => seen.map(({ command }) => command["readConcern"]))

const refused = { _tag: "MongoError", reason: "InvalidOptions", hint: expect.stringContaining("causal") }

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe.each(["linearizable", "available"] as const)("the read concern %s, which knows no causal order", (level) => {
    it.effect("is refused in a causally consistent session before anything is sent, wherever it is set", () =>
      Monitor.withClient({}, (watched) =>
        on(watched)(Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 1)
          const all = [
            Things.withReadConcern(level).findOne(),
            Stream.runDrain(Things.find({}, { readConcern: { level } })),
            Database.make(database, { readConcern: { level } }).collection("things").countDocuments(),
            Database.make(database).command({ find: "things", readConcern: { level } })
          ]
          const session = yield* Monitor.session(watched)
          for (const one of all) {
            expect(yield* Effect.flip(Session.provide(Effect.asVoid(one), session))).toMatchObject(refused)
          }
          expect(yield* sent(watched)).toEqual([])
        }))))

    it.effect("goes out in any other session, and without one", () =>
      Monitor.withClient({}, (watched) =>
        on(watched)(Effect.gen(function*() {
          const { Things } = yield* things(watched, 1)
          const Read = Things.withReadConcern(level)
          yield* Session.scoped(Effect.zipRight(Read.findOne(), Read.findOne()), { causalConsistency: false })
          yield* Read.findOne()
          yield* Stream.runDrain(Read.find())
          expect(yield* readConcerns(watched)).toEqual([{ level }, { level }, { level }, { level }])
        }))))

    it.effect("does not go out in a transaction, whose own is in force", () =>
      Monitor.withClient({}, (watched) =>
        on(watched)(Effect.gen(function*() {
          const { Things } = yield* things(watched, 1)
          yield* Transaction.run(Things.withReadConcern(level).findOne(), { readConcern: "majority" })
          expect(yield* readConcerns(watched)).toEqual([{ level: "majority" }])
        }))))

    it.effect("of the client is left to the server in a transaction, and is not changed by it", () =>
      Monitor.withClient({ driver: { readConcernLevel: level } }, (watched) =>
        on(watched)(Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 1)
          expect(yield* Effect.flip(Session.scoped(Things.findOne()))).toMatchObject(refused)
          yield* Session.scoped(Effect.gen(function*() {
            yield* Database.make(database).command({ ping: 1 })
            // A server that is strict refuses it here.
            yield* Effect.exit(Transaction.run(Things.findOne()))
            yield* Transaction.run(Things.findOne(), { readConcern: "local" })
          }))
          const [inherited, own] = yield* readConcerns(watched)
          expect(inherited).toEqual({ level, afterClusterTime: expect.anything() })
          expect(own).toEqual({ level: "local", afterClusterTime: expect.anything() })
          expect(watched.client.driver.options.readConcern).toEqual({ level })
        }))))
  })

  it.effect("a concern that is undefined is not given: what is around it holds", () =>
    Monitor.withClient({}, (watched) =>
      on(watched)(Effect.gen(function*() {
        const { database } = yield* things(watched, 1)
        const concerns = { readConcern: "majority", writeConcern: { w: "majority" }, timeout: "1 minute" } as const
        const none = { readConcern: undefined, writeConcern: undefined, readPreference: undefined, timeout: undefined }
        const shop = Database.make(database, concerns)
        const all = [
          shop.collection("things", none),
          shop.collection("things").withOptions(none),
          shop.collection("things", none).withReadConcern("majority").withOptions({ ...none, timeout: "1 minute" })
        ]
        for (const Things of all) {
          yield* watched.monitor.clear
          yield* Things.findOne()
          yield* Things.updateOne({ _id: 0 }, { $set: { n: "1" } })
          const [find, update] = yield* watched.monitor.commands
          expect(find?.command).toMatchObject({ readConcern: { level: "majority" }, maxTimeMS: expect.anything() })
          expect(update?.command).toMatchObject({ writeConcern: { w: "majority" }, maxTimeMS: expect.anything() })
        }
      }))))
})
