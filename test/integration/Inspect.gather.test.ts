import { expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { gather } from "../../inspect/src/gather.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
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
