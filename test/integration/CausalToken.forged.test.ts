/**
 * Causal tokens that a stranger has made up, on a server that trusts its clients.
 */
import { describe, expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as CausalToken from "../../src/CausalToken.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as TestServer from "../support/server/testServer.js"

/** A token that says what it likes: so many milliseconds ahead. */
const forged = (ahead: Duration.DurationInput): CausalToken.CausalToken => {
  const time = BigInt(Math.floor((Date.now() + Duration.toMillis(ahead)) / 1000)) << 32n
  return new CausalToken.CausalToken({
    operationTime: Option.some(time),
    clusterTime: Option.some({ time, hash: new Uint8Array(20), keyId: 0n })
  })
}

/** How many seconds the server's cluster clock is ahead of this machine's, as a client that knows nothing is told. */
const driftOfServer = Effect.scoped(Effect.gen(function*() {
  const driver = yield* TestServer.driver()
  const hello = yield* Effect.promise(() => driver.db("admin").command({ hello: 1 }))
  return hello["$clusterTime"].clusterTime.getHighBits() - Date.now() / 1000
}))

const read = Effect.gen(function*() {
  const { client } = yield* Session.Session
  return yield* Session.use((session) => client.driver.db().collection("things").findOne({}, { session }))
})

const secret = Redacted.make("0123456789abcdef0123456789abcdef")

layer(TestServer.own(), { excludeTestServices: true })("a causal token that a stranger has made up", (it) => {
  describe.each([["next year's", "360 days"], ["the next hour's", "1 hour"]] as const)("is %s", (_, ahead) => {
    it.scoped("and is refused before anything is sent; the server's clock stays, and reads go on", () =>
      Effect.gen(function*() {
        const refused = yield* Session.Session.pipe(
          Effect.flatMap((session) => session.advanceTo(forged(ahead))),
          Effect.flip
        )
        expect(refused).toMatchObject({ _tag: "CausalTokenRefused", maxAhead: Duration.minutes(5) })
        expect(yield* Effect.map(Session.Session, ({ operationTime }) => operationTime).pipe(Effect.flatten))
          .toEqual(Option.none())
        expect(yield* read).toBe(null)
        expect(yield* driftOfServer).toBeLessThan(60)
      }).pipe(Session.scoped(), Effect.provide(MongoServer.clientOf({ database: "test", timeout: "20 seconds" }))))
  })

  it.scoped("is taken as far as clocks differ, and as far as `maxAhead` says", () =>
    Effect.gen(function*() {
      const session = yield* Session.Session
      yield* session.advanceTo(forged("4 minutes"))
      expect(yield* Effect.flip(session.advanceTo(forged("6 minutes")))).toMatchObject({ _tag: "CausalTokenRefused" })
      // What was taken does not let the next one go further.
      expect(yield* Effect.flip(session.advanceTo(forged("8 minutes")))).toMatchObject({ _tag: "CausalTokenRefused" })
      expect(yield* Effect.flip(session.advanceTo(forged("4 minutes"), { maxAhead: "1 minute" })))
        .toMatchObject({ _tag: "CausalTokenRefused", maxAhead: Duration.minutes(1) })
      yield* session.advanceTo(forged("8 minutes"), { maxAhead: "10 minutes" })
    }).pipe(Session.scoped(), Effect.provide(MongoServer.clientOf({ database: "test" }))))

  it.scoped("is refused where tokens are signed, and a signed one goes on", () =>
    Effect.gen(function*() {
      const tokens = yield* CausalToken.signed(secret)
      const session = yield* Session.Session
      yield* read
      const seen = yield* session.causalToken
      yield* session.advanceTo(yield* tokens.decode(tokens.encode(seen)))
      const made = CausalToken.encode(forged("1 minute"))
      expect(tokens.decode(made)).toMatchObject(Either.left({ _tag: "DecodeFailed", issue: "is not signed" }))
    }).pipe(Session.scoped(), Effect.provide(MongoServer.clientOf({ database: "test" }))))

  // The last test, for it spoils the server: it shows what the others guard against.
  it.scoped("moves the server's cluster clock if it is taken all the same", () =>
    Effect.gen(function*() {
      const client = yield* MongoClient.MongoClient
      const session = yield* Session.Session
      yield* session.advanceTo(forged("300 days"), { maxAhead: Infinity })
      yield* Session.use((session) => client.driver.db().command({ ping: 1 }, { session }))
      expect(yield* driftOfServer).toBeGreaterThan(200 * 86_400)
    }).pipe(Session.scoped(), Effect.provide(MongoServer.clientOf({ database: "test" }))))
})
