// A server for tests, here one with access control: it knows one user, and refuses everybody else.
import { Effect, Option, Redacted } from "effect"
import { MongoClient, Session } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const count = Effect.flatMap(
  MongoClient.MongoClient,
  ({ driver }) => Session.use((session) => driver.db().collection("users").countDocuments({}, { session }))
)

const countAs = (credentials: Option.Option<MongoServer.Credentials>) =>
  Effect.flatMap(
    MongoServer.MongoServer,
    ({ urlAs }) =>
      count.pipe(Session.scoped(), Effect.provide(MongoClient.layer({ url: Redacted.make(urlAs(credentials)) })))
  )

const user = { username: "tester", password: "secret" }

const program = Effect.gen(function*() {
  const { description } = yield* MongoServer.MongoServer
  yield* Effect.log(description)
  yield* Effect.log("the user counts", yield* countAs(Option.some(user)))
  const refusals = yield* Effect.all([
    Effect.flip(countAs(Option.some({ ...user, password: "guess" }))),
    Effect.flip(countAs(Option.none()))
  ])
  yield* Effect.log("others are refused:", ...refusals.map(({ message }) => message))
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layer({ auth: user }))))
