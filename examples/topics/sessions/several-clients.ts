// A program with two clients. The types tell them apart, and the session of one is refused by the other.
import { Effect, Layer, Redacted } from "effect"
import { MongoClient, Session } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}

/** Says which session of Analytics it would run in. Needs Analytics; other clients make no difference. */
const report = Effect.gen(function*() {
  const session = yield* Session.current({ client: Analytics })
  return session._tag === "Some" ? `in the session ${session.value.id}` : "in no session"
}).pipe(Effect.catchTag("ForeignSession", ({ hint, message }) => Effect.succeed(`refused: ${message}. ${hint}`)))

const program = Effect.gen(function*() {
  yield* Effect.log(yield* report)
  yield* Effect.log(yield* report.pipe(Session.scoped({ client: Analytics })))
  yield* Effect.log(yield* report.pipe(Session.scoped()))
  yield* Effect.log(yield* Session.detached(report).pipe(Session.scoped()))
})

const AnalyticsLive = Layer.unwrapEffect(
  Effect.map(MongoServer.MongoServer, ({ url }) => Analytics.layer({ url: Redacted.make(url) }))
)

await Effect.runPromise(program.pipe(Effect.provide(AnalyticsLive), Effect.provide(MongoServer.layerClient())))
