import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Collection from "../../src/Collection.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { connected } from "../support/server/connected.js"
import type * as Responder from "../support/server/responder.js"

const Things = Collection.make("things", { database: "shop" })

const indexes = [{ key: { a: 1 } }, { key: { b: 1 } }]

const onServer = <A, E, R>(
  test: (server: Responder.Responder) => Effect.Effect<A, E, R>,
  options?: Partial<MongoClient.Options>
) =>
  Effect.flatMap(
    connected({ handlers: { createIndexes: {} } }, options),
    ({ client, server }) => Effect.provideService(test(server), MongoClient.MongoClient, client)
  )

const sent = (server: Responder.Responder) =>
  Effect.map(server.named("createIndexes"), (found) => found.map(({ command }) => command))

describe("the server is told how long it may take to create indexes", () => {
  for (const around of ["no session", "a session", "a transaction"] as const) {
    it.scoped(`in ${around}`, () =>
      onServer((server) =>
        Effect.gen(function*() {
          const timeout = "5 seconds"
          const create = Effect.zipRight(
            Things.createIndex({ a: 1 }, around === "a transaction" ? {} : { timeout }),
            Things.createIndexes(indexes, around === "a transaction" ? {} : { timeout })
          )
          yield* around === "no session"
            ? create
            : around === "a session"
            ? Session.scoped(create)
            : Transaction.run(create, { timeout })
          const limits = (yield* sent(server)).map(({ maxTimeMS }) => maxTimeMS)
          expect(limits).toHaveLength(2)
          for (const limit of limits) expect(limit).toSatisfy((limit: number) => limit > 0 && limit <= 5000)
        })
      ))
  }

  it.scoped("by the client's limit, too", () =>
    onServer((server) =>
      Effect.gen(function*() {
        yield* Things.createIndexes(indexes)
        expect(yield* sent(server)).toMatchObject([{ maxTimeMS: expect.any(Number), lsid: expect.anything() }])
      }), { timeout: "5 seconds" }))

  it.scoped("but not where there is no limit, or where it is unacknowledged, which has no session", () =>
    onServer((server) =>
      Effect.gen(function*() {
        yield* Things.createIndexes(indexes)
        yield* Things.withWriteConcern({ w: 0 }).createIndexes(indexes, { timeout: "5 seconds" })
        // What is acknowledged comes after what is not.
        yield* Things.findOne()
        const all = yield* sent(server)
        expect(all).toHaveLength(2)
        for (const command of all) expect(command).not.toHaveProperty("maxTimeMS")
      })
    ))

  it.scoped("where `maxTimeMS` is asked for, which the driver would leave out, it is refused", () =>
    onServer((server) =>
      Effect.gen(function*() {
        // @ts-expect-error it would not be sent
        const failure = yield* Effect.flip(Things.createIndexes(indexes, { maxTimeMS: 5 }))
        expect(failure).toMatchObject({ reason: "InvalidOptions", hint: expect.stringContaining("Set `timeout`") })
        expect(yield* server.commands).toEqual([])
        yield* Things.createIndex({ a: 1 }, { maxTimeMS: 5 })
        expect(yield* sent(server)).toMatchObject([{ maxTimeMS: 5 }])
      })
    ))
})
