// Two services, each with a client of its own. The second reads what the first wrote, by a signed token in a header.
import { Config, Effect, Redacted } from "effect"
import { CausalToken, MongoClient, Session } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const orders = Effect.map(MongoClient.MongoClient, ({ driver }) => driver.db().collection("orders"))

/** A stranger who knows the secret of neither service cannot make up a token. `openssl rand -hex 32` writes one. */
const tokens = Config.redacted("CAUSAL_TOKEN_SECRET").pipe(
  Config.withDefault(Redacted.make("an example's, which everybody knows")),
  Effect.flatMap(CausalToken.signed)
)

/** Writes, and answers with a header that tells what its session has seen. */
const pay = Effect.gen(function*() {
  const collection = yield* orders
  const session = yield* Session.Session
  const { insertedId } = yield* session.use((session) => collection.insertOne({ state: "paid" }, { session }))
  return { insertedId, headers: { "causal-token": (yield* tokens).encode(yield* session.causalToken) } }
})

/** Goes on from there: its reads wait for what the first service has seen, on a secondary too. */
const invoice = ({ headers, insertedId }: Effect.Effect.Success<typeof pay>) =>
  Effect.gen(function*() {
    const collection = yield* orders
    const session = yield* Session.Session
    yield* session.advanceTo(yield* (yield* tokens).decode(headers["causal-token"]))
    const order = yield* session.use((session) => collection.findOne({ _id: insertedId }, { session }))
    return yield* Effect.fromNullable(order)
  })

const program = Effect.gen(function*() {
  const asService = Effect.provide(MongoServer.clientOf())
  const paid = yield* pay.pipe(Session.scoped(), asService)
  yield* Effect.log(paid.headers, yield* invoice(paid).pipe(Session.scoped(), asService))
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layer())))
