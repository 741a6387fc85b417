/**
 * The header `Idempotency-Key`, as the IETF's draft "The Idempotency-Key HTTP Header Field" describes it: a request with a key
 * takes effect once, however often it is sent, and each time gets the answer of the first.
 *
 * The middleware reads the key of a request; `once` runs what the request asks for. The library stores key and answer in the
 * transaction of the request itself, so that no crash comes between.
 */
import { HttpApiMiddleware, HttpServerRequest } from "@effect/platform"
import { Context, Effect, Layer, Schema } from "effect"
import type { Once } from "effect-mongo-session"
import { createHash } from "node:crypto"
import { body, BodyRefused } from "./body.js"
import { KeyInProgress, KeyMissing, KeyReused } from "./errors.js"

/** A key: in quotes as the draft has it, or without as most clients send it. */
const Key = Schema.transform(
  Schema.String.pipe(Schema.pattern(/^("[\x21\x23-\x5b\x5d-\x7e]{1,255}"|[\x21\x23-\x5b\x5d-\x7e]{1,255})$/)),
  Schema.String,
  { strict: true, decode: (text) => text.replace(/^"|"$/g, ""), encode: (key) => `"${key}"` }
).annotations({ identifier: "IdempotencyKey", description: "A key that nobody else uses, such as a UUID, in quotes" })

/** The header. An endpoint names it for the page of the API; the middleware reads it. */
export const Headers = Schema.Struct({ "idempotency-key": Key })

/** What the middleware tells of a request. */
export class KeyedRequest extends Context.Tag("backend/KeyedRequest")<KeyedRequest, {
  readonly key: string
  /** A digest of the request: another request must not use the key. */
  readonly fingerprint: string
}>() {}

/** The middleware of an endpoint that needs a key, and a body that this server takes. Without a key it answers 400. */
export class IdempotencyKey extends HttpApiMiddleware.Tag<IdempotencyKey>()("backend/IdempotencyKey", {
  provides: KeyedRequest,
  failure: Schema.Union(KeyMissing, BodyRefused)
}) {}

export const IdempotencyKeyLive = Layer.succeed(
  IdempotencyKey,
  IdempotencyKey.of(Effect.gen(function*() {
    const headers = yield* Effect.mapError(
      HttpServerRequest.schemaHeaders(Headers),
      () =>
        new KeyMissing({
          hint: "Send the header Idempotency-Key: a new key for each order, such as a UUID, in quotes."
        })
    )
    const { method, url } = yield* HttpServerRequest.HttpServerRequest
    const fingerprint = createHash("sha256").update(JSON.stringify([method, url, yield* body])).digest("hex")
    return { key: headers["idempotency-key"], fingerprint }
  }))
)

/**
 * Runs what a request asks for once for its key; a repeated request gets the stored answer. Fails with `KeyInProgress` (409)
 * while the first request is at work, and with `KeyReused` (422) if another request had the key.
 */
export const once = <A, F, R>(kind: Once.Once<A, F, R>) => <E, R2>(effect: Effect.Effect<A, E, R2>) =>
  Effect.flatMap(KeyedRequest, ({ fingerprint, key }) => kind.run(key, effect, { fingerprint })).pipe(
    Effect.catchTag("InProgress", () => new KeyInProgress({ hint: "Wait a moment, then send it again." })),
    Effect.catchTag("KeyReused", () => new KeyReused({ hint: "Use a new key for another request." }))
  )
