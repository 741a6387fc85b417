import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import * as MongoClient from "../../src/MongoClient.js"
import type * as Session from "../../src/Session.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import { ping } from "../support/server/connected.js"
import * as Monitor from "../support/watch/monitor.js"

const credentials = { username: "tester", password: "swordfish" }

const clientAs = (who: Option.Option<MongoServer.Credentials>) =>
  Effect.flatMap(MongoServer.MongoServer, ({ urlAs }) => MongoClient.make({ url: Redacted.make(urlAs(who)) }))

const find = (session: Session.Service) =>
  session.use((s) => session.client.driver.db("shop").collection("users").findOne({}, { session: s }))

layer(MongoServer.layer({ auth: credentials }), { excludeTestServices: true, timeout: "2 minutes" })((it) => {
  describe("a server with access control", () => {
    it.scoped("a wrong password fails with AuthenticationFailed when the client connects, and leaves no socket", () =>
      Effect.gen(function*() {
        const socketsBefore = yield* Monitor.sockets
        const error = yield* Effect.flip(clientAs(Option.some({ ...credentials, password: "marlin" })))
        expect(error).toMatchObject({
          _tag: "MongoError",
          reason: "AuthenticationFailed",
          operation: "connect",
          code: 18
        })
        expect(error.isRetryable).toBe(false)
        expect(`${error.message} ${JSON.stringify(error)}`).not.toMatch(/marlin|tester|127\.0\.0\.1/)
        yield* Monitor.until(Monitor.sockets, (open) => open <= socketsBefore)
      }))

    it.scoped("an unknown user fails like a wrong password", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(clientAs(Option.some({ ...credentials, username: "nobody" })))
        expect(error).toMatchObject({ reason: "AuthenticationFailed", code: 18 })
      }))

    it.scoped("nobody's session is opened locally, and its first use is Unauthorized", () =>
      Effect.gen(function*() {
        const client = yield* clientAs(Option.none())
        const session = yield* Monitor.session({ client })
        expect(yield* Effect.flip(find(session))).toMatchObject({
          _tag: "MongoError",
          reason: "Unauthorized",
          operation: "use",
          code: 13
        })
        expect(yield* Effect.flip(session.refresh)).toMatchObject({ _tag: "MongoError", reason: "Unauthorized" })
        expect(yield* session.state).toBe("idle")
      }))

    it.scoped("the user's session works", () =>
      Effect.gen(function*() {
        const client = yield* clientAs(Option.some(credentials))
        const session = yield* Monitor.session({ client }, { release: "end" })
        yield* ping(session)
        expect(yield* find(session)).toBe(null)
        yield* session.refresh
        expect(yield* session.isDirty).toBe(false)
      }))

    it.effect("the password is nowhere in what a client shows of itself", () =>
      Effect.scoped(Effect.gen(function*() {
        const { url } = yield* MongoServer.MongoServer
        const options: MongoClient.Options = { url: Redacted.make(url) }
        const client = yield* MongoClient.make(options)
        const session = yield* Monitor.session({ client })
        yield* ping(session)
        expect(url).toContain(credentials.password)
        expect(inspect(client.driver, { depth: 20 })).toContain(credentials.password)
        for (const shown of [options, client, session]) {
          expect(inspect(shown, { depth: 20 })).not.toContain(credentials.password)
          expect(String(shown)).not.toContain(credentials.password)
          expect(JSON.stringify(shown)).not.toContain(credentials.password)
        }
      })))
  })
})
