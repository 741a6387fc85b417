/**
 * A command ends that was about to be written when the driver closed its connection, as it does where a monitor has no answer.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Driver from "mongodb"
import * as Collection from "../../src/Collection.js"
import { connectionsInUse } from "../../src/internal/driver/privates.js"
import { clientWith } from "../support/server/connected.js"
import * as Responder from "../support/server/responder.js"
import { until } from "../support/watch/until.js"

interface Pool {
  readonly clear: (options: { readonly interruptInUseConnections: boolean }) => void
  readonly ready: () => void
}

const poolOf = (driver: Driver.MongoClient): Pool => {
  const { topology } = driver as unknown as {
    readonly topology: { readonly s: { readonly servers: ReadonlyMap<string, { readonly pool: Pool }> } }
  }
  return [...topology.s.servers.values()][0]!.pool
}

/** Closes the connection of the next insert at the moment in which it is written, as if a monitor had no answer once. */
const closeAtInsert = (driver: Driver.MongoClient): void => {
  driver.on("commandStarted", function once({ commandName }) {
    if (commandName !== "insert") return
    driver.off("commandStarted", once)
    const pool = poolOf(driver)
    pool.clear({ interruptInUseConnections: true })
    queueMicrotask(() => pool.ready())
    driver.emit("serverHeartbeatFailed", {} as Driver.ServerHeartbeatFailedEvent)
  })
}

const things = Collection.make("things")

describe("a connection that is closed while a command is written to it", () => {
  it.scopedLive("the raw driver waits for ever", () =>
    Effect.gen(function*() {
      const server = yield* Responder.make()
      const driver = yield* Effect.acquireRelease(
        Effect.promise(() =>
          new Driver.MongoClient(server.url, { monitorCommands: true, retryWrites: false }).connect()
        ),
        (driver) => Effect.promise(() => driver.close())
      )
      closeAtInsert(driver)
      let isOver = false
      void driver.db("test").collection("things").insertOne({ a: 1 }).finally(() => isOver = true).catch(() =>
        undefined
      )
      const closed = yield* until(
        Effect.sync(() => connectionsInUse(driver).filter(({ closed }) => closed).length),
        (count) => count === 1
      )
      yield* Effect.promise(() => new Promise((done) => setImmediate(() => setImmediate(done))))
      expect([closed, isOver]).toEqual([1, false])
    }))

  it.scopedLive("fails where it is not repeated", () =>
    Effect.gen(function*() {
      const { client, on } = yield* clientWith({ driver: { monitorCommands: true, retryWrites: false } })
      closeAtInsert(client.driver)
      const error = yield* Effect.flip(on(things.insertOne({ a: 1 })))
      expect(error).toMatchObject({ _tag: "MongoError", reason: "NetworkError" })
      expect(yield* until(Effect.sync(() => connectionsInUse(client.driver).length), (count) => count === 0)).toBe(0)
    }))

  it.scopedLive("is repeated by the driver where it may", () =>
    Effect.gen(function*() {
      const { client, on, server } = yield* clientWith({ driver: { monitorCommands: true } })
      closeAtInsert(client.driver)
      expect(yield* on(things.insertOne({ a: 1 }))).toMatchObject({ acknowledged: true })
      expect(yield* server.named("insert")).toHaveLength(1)
    }))
})
