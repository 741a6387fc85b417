/**
 * A client closes with all its connections, whatever of the library's own commands is in flight.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { Long } from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import { SessionId } from "../../src/SessionId.js"
import * as Transaction from "../../src/Transaction.js"
import { clientOf } from "../support/server/connected.js"
import * as Responder from "../support/server/responder.js"
import { until } from "../support/watch/until.js"

const id = SessionId.fromBytes(new Uint8Array(16))
const cursor = { firstBatch: [{ _id: 1 }], id: Long.fromNumber(7), ns: "test.things" }

describe("a client closes while the server does not answer", () => {
  for (
    const [what, command, effect] of [
      ["a command of the program's", "refreshSessions", SessionCommands.refreshSessions([id])],
      [
        "the closing of a cursor in a transaction",
        "killCursors",
        Transaction.run(Stream.runHead(Collection.make("things").find()))
      ]
    ] as const
  ) {
    it.scopedLive(what, () =>
      Effect.gen(function*() {
        const server = yield* Responder.make({ handlers: { find: { cursor }, [command]: "hang" } })
        const running = yield* Effect.scoped(Effect.gen(function*() {
          const { client } = yield* clientOf(server, { settleTimeout: "50 millis", closeTimeout: "50 millis" })
          const running = yield* Effect.forkDaemon(Effect.provideService(effect, MongoClient.MongoClient, client))
          yield* server.awaitCommand(command)
          return running
        }))
        expect(yield* until(server.connections, (connections) => connections === 0)).toBe(0)
        yield* Fiber.interrupt(running)
      }))
  }
})
