import { expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { gather } from "../../inspect/src/gather.js"
import { read } from "../../inspect/src/library.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Outbox from "../../src/Outbox.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  it.scoped("dead letters are counted however many there are, and of leases it is said that there are more", () =>
    Effect.gen(function*() {
      const database = yield* TestServer.database
      const { client } = yield* Monitor.connect({ database })
      const as = Effect.provideService(MongoClient.MongoClient, client)
      yield* as(Transaction.run(Outbox.make("mails").publishAll([{ to: "a" }])))
      const db = client.driver.db(database)
      const many = (count: number, of: (n: number) => object) => Array.from({ length: count }, (_, n) => of(n))
      yield* Effect.promise(() =>
        Promise.all([
          db.collection("effect_mongo_session.deadLetters").insertMany([
            ...many(10_050, () => ({ outbox: "mails" })),
            { consumer: "mails" }
          ]),
          db.collection("effect_mongo_session.leases").insertMany(many(1001, (n) => ({ name: `lease ${n}` })))
        ])
      )
      const { value } = yield* as(read(database))
      expect(value.leases).toHaveLength(1000)
      const { missing, outboxes } = yield* as(gather({ databases: [database] }, undefined))
      expect(outboxes).toMatchObject([{ name: "mails", deadLetters: 10_050 }])
      expect(missing).toEqual([{ what: `some leases of ${database}`, why: "there are more than 1,000" }])
    }))

  it.scoped("what the server refuses, to oneself as well, is left out and said, and the rest is shown", () =>
    Effect.gen(function*() {
      const watched = yield* Monitor.connect()
      const as = Effect.provideService(MongoClient.MongoClient, watched.client)
      yield* Monitor.fail(watched, { failCommands: ["aggregate"], errorCode: 13, mode: "alwaysOn" })
      const { hosts, missing } = yield* as(gather({ databases: [yield* TestServer.database] }, undefined))
      expect(hosts).toHaveLength(1)
      expect(missing).toEqual([
        { what: "operations and transactions", why: "needs the privilege inprog" },
        { what: "sessions", why: "needs the privilege listSessions" }
      ])
    }))

  it.scoped("what takes too long is left out and said, and can be interrupted before", () =>
    Effect.gen(function*() {
      const watched = yield* Monitor.connect()
      const as = Effect.provideService(MongoClient.MongoClient, watched.client)
      yield* Monitor.block(watched, ["aggregate"], "10 seconds")
      const look = as(gather({ databases: [yield* TestServer.database] }, undefined))
      const [time, { missing }] = yield* Effect.timed(look)
      expect(Duration.toSeconds(time)).toBeLessThan(8)
      expect(missing).toEqual([
        { what: "operations and transactions", why: "took longer than 2 s" },
        { what: "sessions", why: "took longer than 2 s" }
      ])
      yield* watched.monitor.clear
      const fiber = yield* Effect.forkScoped(look)
      yield* watched.monitor.awaitStarted("aggregate")
      const [waited] = yield* Effect.timed(Fiber.interrupt(fiber))
      expect(Duration.toSeconds(waited)).toBeLessThan(5)
    }))
})
