// One session for each request. Its answer tells in a header what the session has seen; whoever sends that header along with
// the next request reads what this one has written: from any instance, and from a secondary too.
import { HttpApiMiddleware, HttpApp, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Config, Effect, Layer, Schema } from "effect"
import { CausalToken, MongoClient, Session } from "effect-mongo-session"
import { answered, OutcomeUnknown, TokenRefused, Unavailable } from "./errors.js"

/** The name of the header. */
const header = "causal-token"

/** How long one operation of a request may take, and the whole of its transaction. */
const timeout = "10 seconds"

export class RequestSession extends HttpApiMiddleware.Tag<RequestSession>()("backend/RequestSession", {
  provides: Session.Session,
  failure: Schema.Union(TokenRefused, Unavailable, OutcomeUnknown)
}) {}

/** Nobody without the secret can make up a token. All instances have the same one. */
const tokens = Effect.flatMap(Config.redacted("CAUSAL_TOKEN_SECRET"), CausalToken.signed)

export const RequestSessionLive = Layer.effect(
  RequestSession,
  Effect.gen(function*() {
    const { decode, encode } = yield* tokens
    const client = yield* MongoClient.MongoClient
    return Effect.gen(function*() {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      const session = yield* answered(Session.make({ timeout }))
      const token = headers[header]
      if (token !== undefined) {
        yield* Effect.flatMap(decode(token), (seen) => session.advanceTo(seen)).pipe(
          Effect.catchTags({
            DecodeFailed: () => new TokenRefused({ hint: `Send ${header} as an answer had it, or leave it out.` }),
            CausalTokenRefused: () => new TokenRefused({ hint: "The token is from the future." }),
            SessionEnded: Effect.die
          })
        )
      }
      // When the answer is ready. The session ends after that, with the scope of the request.
      yield* HttpApp.appendPreResponseHandler((_, response) =>
        Effect.map(session.causalToken, (seen) => HttpServerResponse.setHeader(response, header, encode(seen)))
      )
      return session
    }).pipe(Effect.provideService(MongoClient.MongoClient, client))
  })
)
