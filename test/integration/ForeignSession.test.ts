import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import { ping } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"

class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}

const options = Effect.map(MongoServer.MongoServer, ({ url }) => ({ url: Redacted.make(url) }))

const clients = Layer.mergeAll(
  Layer.unwrapEffect(Effect.map(options, MongoClient.layer)),
  Layer.unwrapEffect(Effect.map(options, Analytics.layer))
).pipe(Layer.provide(TestServer.layer))

/** What a client puts on the wire or takes from its pool while an effect runs: nothing, if it does no IO. */
const silent = <A, E, R>({ driver }: MongoClient.Service, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let io = 0
    const count = () => void io++
    driver.on("connectionCheckOutStarted", count)
    return Effect.ensuring(
      effect,
      Effect.sync(() => {
        driver.off("connectionCheckOutStarted", count)
        expect(io, "connections asked for").toBe(0)
      })
    )
  })

layer(clients, { excludeTestServices: true })((it) => {
  describe("L14: a session of one client is refused by another", () => {
    it.scoped("as the ambient session of an operation on another client, before any IO", () =>
      Effect.gen(function*() {
        const main = yield* MongoClient.MongoClient
        const analytics = yield* Analytics
        const session = yield* Session.make({ client: Analytics })
        expect(session.client).toBe(analytics)
        const refused = yield* Session.current().pipe(Session.provide(session), Effect.flip, (effect) =>
          silent(main, effect))
        expect(refused).toMatchObject({ _tag: "ForeignSession", operation: "Session.current" })
        expect(refused.hint).toContain("Session.detached")
      }))

    it.scoped("the other way round, too: the program's session on a further client", () =>
      Effect.gen(function*() {
        const refused = yield* Session.current({ client: Analytics }).pipe(Session.scoped(), Effect.flip)
        expect(refused).toMatchObject({ _tag: "ForeignSession" })
      }))

    it.scoped("while its own client takes it", () =>
      Effect.gen(function*() {
        const session = yield* Session.make({ client: Analytics })
        const current = yield* Session.provide(Session.current({ client: Analytics }), session)
        expect(Option.getOrThrow(current)).toBe(session)
        const ofMain = yield* Session.scoped(Effect.zip(Session.current(), Session.Session))
        expect(Option.getOrThrow(ofMain[0])).toBe(ofMain[1])
      }))

    it.scoped("two services of one driver's client share their sessions", () =>
      Effect.gen(function*() {
        const { driver } = yield* MongoClient.MongoClient
        const twin = yield* MongoClient.fromDriver(Effect.succeed(driver))
        const session = yield* Effect.provideService(Session.make(), MongoClient.MongoClient, twin)
        expect(Option.isSome(yield* Session.provide(Session.current(), session))).toBe(true)
      }))
  })

  describe("Session.detached", () => {
    it.effect("hides the ambient session from an effect, and only from that effect", () =>
      Effect.gen(function*() {
        const inside = Effect.gen(function*() {
          const detached = yield* Session.detached(Session.current())
          const ambient = yield* Session.current()
          return { detached, ambient }
        })
        const { ambient, detached } = yield* Session.scoped(inside)
        expect(Option.isNone(detached)).toBe(true)
        expect(Option.isSome(ambient)).toBe(true)
      }))

    it.scoped("is the way out of a foreign session", () =>
      Effect.gen(function*() {
        const foreign = yield* Session.make({ client: Analytics })
        const found = yield* Session.current().pipe(Session.detached, Session.provide(foreign))
        expect(Option.isNone(found)).toBe(true)
      }))

    it.scoped("leaves the rest of the context in place, the client among it", () =>
      Effect.gen(function*() {
        const session = yield* Session.make()
        const client = yield* Session.provide(Session.detached(MongoClient.MongoClient), session)
        expect(client).toBe(yield* MongoClient.MongoClient)
        const inner = Session.scoped(Effect.zipLeft(Session.Session, Effect.flatMap(Session.Session, ping)))
        const ofDetached = yield* Session.provide(Session.detached(inner), session)
        expect(ofDetached.id).not.toEqual(session.id)
      }))
  })
})
