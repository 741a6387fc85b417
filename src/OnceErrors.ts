/**
 * The errors of effects that are run once. Also exported by `SessionErrors`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { render } from "./internal/values/render.js"

/**
 * Another run has the key and is not done yet. Nothing was written.
 *
 * @example
 * ```ts
 * import * as SessionErrors from "effect-mongo-session/SessionErrors"
 * import * as Effect from "effect/Effect"
 *
 * declare const answer: Effect.Effect<string, SessionErrors.InProgress>
 *
 * // As the draft on idempotency keys says: 409.
 * export const status = Effect.catchTag(answer, "InProgress", () => Effect.succeed("409 Conflict"))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class InProgress extends Data.TaggedError("InProgress")<{
  /** What is run once. */
  readonly once: string
  /** How long this run has waited for the other one. */
  readonly waited: Duration.Duration
}> {
  override get message(): string {
    const { once, waited } = this
    return `${once}: another run with this key is not done after ${
      Duration.format(Duration.millis(Math.round(Duration.toMillis(waited))))
    }`
  }
  get hint(): string {
    return "Run it again later with the same key, or raise `wait`. After a crash the server keeps a key taken until it gives " +
      "the open transaction up: 60 seconds by default (`transactionLifetimeLimitSeconds`)."
  }
  override toJSON(): object {
    return render(this, { once: this.once, waited: this.waited })
  }
}

/**
 * The key was used before, for a request with another fingerprint. Nothing was run.
 *
 * @example
 * ```ts
 * import * as SessionErrors from "effect-mongo-session/SessionErrors"
 * import * as Effect from "effect/Effect"
 *
 * declare const answer: Effect.Effect<string, SessionErrors.KeyReused>
 *
 * // As the draft on idempotency keys says: 422.
 * export const status = Effect.catchTag(answer, "KeyReused", () => Effect.succeed("422 Unprocessable Content"))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class KeyReused extends Data.TaggedError("KeyReused")<{
  /** What is run once. */
  readonly once: string
}> {
  override get message(): string {
    return `${this.once}: the key belongs to a request with another fingerprint`
  }
  get hint(): string {
    return "Take a new key for each new request, and the same key only to repeat the same request."
  }
  override toJSON(): object {
    return render(this, { once: this.once })
  }
}
