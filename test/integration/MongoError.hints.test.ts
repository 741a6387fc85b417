/**
 * Failures that look like something else, and the hints that tell what they are.
 */
import { describe, expect, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Responder from "../support/server/responder.js"
import * as TestServer from "../support/server/testServer.js"

layer(TestServer.layer, { excludeTestServices: true })("an operation of another client in a use", (it) => {
  it.scoped("is refused by the driver, with the hint that it is another client's", () =>
    Effect.gen(function*() {
      const other = yield* TestServer.driver()
      const refused = yield* Session.use((session) => other.db("test").collection("things").findOne({}, { session }))
        .pipe(Session.scoped(), Effect.flip)
      expect(refused).toMatchObject({ _tag: "MongoError", reason: "InvalidArgument" })
      expect(refused).toHaveProperty("hint", expect.stringMatching(/another client .*`session\.client\.driver`/))
    }).pipe(Effect.provide(MongoServer.clientOf({ database: "test" }))))

  it.scoped("but not one whose arguments are wrong otherwise", () =>
    Effect.gen(function*() {
      const { driver } = yield* MongoClient.MongoClient
      const refused = yield* Session.use((session) =>
        driver.db("test").collection("things").insertMany([], { session })
      ).pipe(Session.scoped(), Effect.flip)
      expect(refused).toMatchObject({ reason: "InvalidArgument" })
      expect(refused).not.toHaveProperty("hint")
    }).pipe(Effect.provide(MongoServer.clientOf({ database: "test" }))))
})

layer(TestServer.own({ standalone: true }), { excludeTestServices: true })("watch on a standalone server", (it) => {
  it.scoped("is NotSupported, with the hint that it needs a replica set", () =>
    Effect.gen(function*() {
      const things = Collection.make("things")
      for (const watch of [things.watch(), things.watch().pipe(Stream.provideSomeLayer(Session.layer()))]) {
        const refused = yield* Effect.flip(Stream.runDrain(watch))
        expect(refused).toMatchObject({ _tag: "MongoError", reason: "NotSupported", isRetryable: false })
        expect(refused).toHaveProperty("hint", expect.stringMatching(/need a replica set .*standalone/))
      }
    }).pipe(Effect.provide(MongoServer.clientOf({ database: "test" }))))
})

describe("a name that cannot be resolved", () => {
  /** Resolves numbers only, as a machine outside of the containers' network does. */
  const lookup = (host: string, _: unknown, done: (error: Error | null, address?: string, family?: number) => void) =>
    host === "127.0.0.1"
      ? done(null, host, 4)
      : done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: "ENOTFOUND", syscall: "getaddrinfo" }))

  const connecting = (url: string) =>
    Effect.flip(
      MongoClient.make({ url: Redacted.make(url), driver: { lookup, serverSelectionTimeoutMS: 300 } as never })
    )

  const member = { isWritablePrimary: true, setName: "rs0", hosts: ["a1b2c3:27017"], me: "a1b2c3:27017" }

  it.scopedLive("of a member that the URL does not name: points at `directConnection`", () =>
    Effect.gen(function*() {
      const server = yield* Responder.make({ hello: member })
      const refused = yield* connecting(`mongodb://127.0.0.1:${server.port}/?replicaSet=rs0`)
      expect(refused).toMatchObject({ reason: "ServerSelectionFailed" })
      expect(refused.hint).toMatch(/directConnection=true/)
      expect(`${refused.hint} ${refused.message}`).not.toMatch(/a1b2c3/)
    }))

  it.scopedLive("of a host that the URL does name: has no such hint", () =>
    Effect.gen(function*() {
      const refused = yield* connecting("mongodb://a1b2c3:27017/?replicaSet=rs0")
      expect(refused).toMatchObject({ reason: "ServerSelectionFailed" })
      expect(refused).not.toHaveProperty("hint")
    }))

  it.scopedLive("of a member, but the server is asked directly: connects", () =>
    Effect.gen(function*() {
      const server = yield* Responder.make({ hello: member })
      yield* MongoClient.make({
        url: Redacted.make(`mongodb://127.0.0.1:${server.port}/?directConnection=true`),
        driver: { lookup } as never
      })
    }))
})
