import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Document } from "mongodb"
import { Long } from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import { connected } from "../support/server/connected.js"
import type * as Responder from "../support/server/responder.js"

const Things = Collection.make("things", { database: "shop" })

const definition = { mappings: { dynamic: true } }

/** A deployment with the search service, as far as these tests need it. */
const atlas: Responder.Options["handlers"] = {
  createSearchIndexes: (command) => ({
    indexesCreated: command["indexes"].map(({ name }: Document, n: number) => ({ id: String(n), name }))
  }),
  updateSearchIndex: {},
  dropSearchIndex: {},
  aggregate: { cursor: { firstBatch: [{ name: "a", queryable: true }], id: Long.ZERO, ns: "shop.things" } }
}

const onServer = <A, E, R>(
  handlers: Responder.Options["handlers"],
  test: (server: Responder.Responder) => Effect.Effect<A, E, R>
) =>
  Effect.flatMap(
    connected({ handlers }),
    ({ client, server }) => Effect.provideService(test(server), MongoClient.MongoClient, client)
  )

const sent = (server: Responder.Responder, name: string) =>
  Effect.map(server.named(name), (found) => found.map(({ command }) => command))

describe("search indexes, where there is the search service", () => {
  it.scoped("are created one by one or several at once, and their names are given", () =>
    onServer(atlas, (server) =>
      Effect.gen(function*() {
        expect(yield* Things.createSearchIndex({ name: "a", definition })).toBe("a")
        const indexes = [{ name: "b", definition }, { name: "c", definition, type: "vectorSearch" }]
        expect(yield* Things.createSearchIndexes(indexes)).toEqual(["b", "c"])
        expect(yield* sent(server, "createSearchIndexes")).toMatchObject([
          { createSearchIndexes: "things", indexes: [{ name: "a", definition }], $db: "shop" },
          { createSearchIndexes: "things", indexes, $db: "shop" }
        ])
      })))

  it.scoped("are changed and dropped by name", () =>
    onServer(atlas, (server) =>
      Effect.gen(function*() {
        yield* Things.updateSearchIndex("a", definition)
        yield* Things.dropSearchIndex("a")
        expect(yield* sent(server, "updateSearchIndex")).toMatchObject([
          { updateSearchIndex: "things", name: "a", definition }
        ])
        expect(yield* sent(server, "dropSearchIndex")).toMatchObject([{ dropSearchIndex: "things", name: "a" }])
      })))

  it.scoped("have the time limit of their collection: the server is told, in a session or in none", () =>
    onServer(atlas, (server) =>
      Effect.gen(function*() {
        const Timed = Collection.make("things", { database: "shop", timeout: "5 seconds" })
        const change = Effect.zipRight(Timed.updateSearchIndex("a", definition), Timed.dropSearchIndex("a"))
        yield* change
        yield* Session.scoped(change)
        for (const name of ["updateSearchIndex", "dropSearchIndex"]) {
          const limits = (yield* sent(server, name)).map(({ maxTimeMS }) => maxTimeMS)
          expect(limits).toHaveLength(2)
          for (const limit of limits) expect(limit).toSatisfy((limit: number) => limit > 0 && limit <= 5000)
        }
      })))

  it.scoped("are listed, all or one", () =>
    onServer(atlas, (server) =>
      Effect.gen(function*() {
        const all = yield* Stream.runCollect(Things.listSearchIndexes())
        expect(Chunk.toReadonlyArray(all)).toEqual([{ name: "a", queryable: true }])
        yield* Stream.runDrain(Things.listSearchIndexes("a"))
        expect((yield* sent(server, "aggregate")).map(({ pipeline }) => pipeline)).toEqual([
          [{ $listSearchIndexes: {} }],
          [{ $listSearchIndexes: { name: "a" } }]
        ])
      })))

  it.scoped("that are not there need no dropping", () =>
    onServer(
      { dropSearchIndex: { ok: 0, code: 26, codeName: "NamespaceNotFound", errmsg: "not there" } },
      () => Things.dropSearchIndex("a")
    ))

  it.scoped("fail with what else the server says, without the hint", () =>
    onServer(
      { updateSearchIndex: { ok: 0, code: 27, codeName: "IndexNotFound", errmsg: "not there" } },
      () =>
        Effect.map(Effect.flip(Things.updateSearchIndex("a", {})), (error) => {
          expect(error).toMatchObject({ _tag: "MongoError", code: 27 })
          expect(error).not.toHaveProperty("hint")
        })
    ))
})

describe("search indexes, where there is no search service", () => {
  // What servers without it say, from 4.4 to 8.0.
  for (
    const [code, codeName] of [
      [59, "CommandNotFound"],
      [115, "CommandNotSupported"],
      [31082, "SearchNotEnabled"],
      [40324, "Location40324"],
      [6047401, "Location6047401"]
    ] as const
  ) {
    it.scoped(`are NotSupported, with the hint that they need it, when the server says ${codeName}`, () => {
      const refused = { ok: 0, code, codeName, errmsg: "no" }
      const handlers = {
        createSearchIndexes: refused,
        updateSearchIndex: refused,
        dropSearchIndex: refused,
        aggregate: refused
      }
      return onServer(handlers, () =>
        Effect.gen(function*() {
          const operations = [
            Things.createSearchIndex({ definition }),
            Things.createSearchIndexes([{ definition }]),
            Things.updateSearchIndex("a", definition),
            Things.dropSearchIndex("a"),
            Stream.runDrain(Things.listSearchIndexes())
          ]
          for (const operation of operations) {
            expect(yield* Effect.flip(Effect.asVoid(operation))).toMatchObject({
              _tag: "MongoError",
              reason: "NotSupported",
              code,
              hint: expect.stringContaining("need MongoDB Atlas")
            })
          }
        }))
    })
  }
})
