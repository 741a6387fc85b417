// What the API answers when it can't do what it was asked for. Each error has its status, and the page of the API shows it.
import { HttpApiSchema } from "@effect/platform"
import { Effect, Match, Schema } from "effect"
import { MongoError, SessionErrors } from "effect-mongo-session"

export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", {
  what: Schema.Literal("product", "customer", "order"),
  id: Schema.String
}, HttpApiSchema.annotations({ status: 404 })) {}

export class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", {
  product: Schema.String
}, HttpApiSchema.annotations({ status: 409 })) {}

export class PaymentDeclined extends Schema.TaggedError<PaymentDeclined>()("PaymentDeclined", {
  customer: Schema.String
}, HttpApiSchema.annotations({ status: 402 })) {}

/** The header with the causal token was not made by this shop, or was damaged. */
export class TokenRefused extends Schema.TaggedError<TokenRefused>()("TokenRefused", {
  hint: Schema.String
}, HttpApiSchema.annotations({ status: 400 })) {}

/** What placing an order ends with when the shop refuses it. It counts as an answer: who asks again gets it again. */
export const Refusal = Schema.Union(OutOfStock, PaymentDeclined, NotFound)

/** The request has no key, or one that is none. */
export class KeyMissing extends Schema.TaggedError<KeyMissing>()("KeyMissing", {
  hint: Schema.String
}, HttpApiSchema.annotations({ status: 400 })) {}

/** The body of the request has not come as a whole, is no JSON text, or is nested too deeply. */
export class BodyMalformed extends Schema.TaggedError<BodyMalformed>()("BodyMalformed", {
  hint: Schema.String
}, HttpApiSchema.annotations({ status: 400 })) {}

/** The length of the body is not told. */
export class LengthRequired extends Schema.TaggedError<LengthRequired>()("LengthRequired", {
  hint: Schema.String
}, HttpApiSchema.annotations({ status: 411 })) {}

/** The body is longer than this server takes. */
export class ContentTooLarge extends Schema.TaggedError<ContentTooLarge>()("ContentTooLarge", {
  hint: Schema.String
}, HttpApiSchema.annotations({ status: 413 })) {}

/** The body is something else than JSON. */
export class UnsupportedMediaType extends Schema.TaggedError<UnsupportedMediaType>()("UnsupportedMediaType", {
  hint: Schema.String
}, HttpApiSchema.annotations({ status: 415 })) {}

/** The key was used with another request before. */
export class KeyReused extends Schema.TaggedError<KeyReused>()(
  "KeyReused",
  { hint: Schema.String },
  HttpApiSchema.annotations({ status: 422 })
) {}

/** A request with this key is still being worked on. */
export class KeyInProgress extends Schema.TaggedError<KeyInProgress>()("KeyInProgress", {
  hint: Schema.String
}, HttpApiSchema.annotations({ status: 409 })) {}

/** Nothing was done. The same request may succeed in a moment. */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {
  hint: Schema.String
}, HttpApiSchema.annotations({ status: 503 })) {}

/** Nobody knows yet whether it was done. */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>()("OutcomeUnknown", {
  hint: Schema.String
}, HttpApiSchema.annotations({ status: 500 })) {}

/** What the library fails with in a request. */
type DatabaseError =
  | SessionErrors.AcquireError
  | SessionErrors.OperationError
  | SessionErrors.TransactionError
  | SessionErrors.DecodeFailed
  | SessionErrors.PublishError

/**
 * Errors of the database as answers. What no client can do anything about is a defect: the server logs it, and answers with
 * 500.
 */
export const answered = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, Exclude<E, DatabaseError> | Unavailable | OutcomeUnknown, R> =>
  Effect.catchAll(SessionErrors.orDieOnMisuse(effect), (error) =>
    Match.value<unknown>(error).pipe(
      Match.when(Match.instanceOf(SessionErrors.CommitUnknown), unknown),
      Match.when(Match.instanceOf(SessionErrors.TransactionAborted), unavailable),
      Match.when(Match.instanceOf(SessionErrors.SessionLapsed), unavailable),
      Match.when(
        Match.instanceOf(MongoError.MongoError),
        (error) => error.isRetryable || error.reason === "TimedOut" ? unavailable(error) : Effect.die(error)
      ),
      Match.when(Match.instanceOf(SessionErrors.TransactionDoomed), (error) => Effect.die(error)),
      Match.when(Match.instanceOf(SessionErrors.DecodeFailed), (error) => Effect.die(error)),
      // The errors of the shop itself.
      Match.orElse(() => Effect.fail(error as Exclude<E, DatabaseError>))
    ))

const unavailable = (error: Error) =>
  Effect.zipRight(
    Effect.logWarning("the database could not do it in time", error.message),
    new Unavailable({ hint: "Nothing was done. Send the same request again, with the same Idempotency-Key." })
  )

const unknown = (error: Error) =>
  Effect.zipRight(
    Effect.logError("nobody knows whether it was committed", error.message),
    new OutcomeUnknown({ hint: "It may have been done. Send the same request again, with the same Idempotency-Key." })
  )
