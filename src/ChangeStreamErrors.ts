/**
 * The errors of those who follow change streams. Also exported by `SessionErrors`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type { DecodeFailed } from "./internal/values/decodeErrors.js"
import { render } from "./internal/values/render.js"

/**
 * Another consumer of the same name was started, and has taken over; this one has stopped before it did anything that the
 * other one does, too.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ChangeStream, Collection } from "effect-mongo-session"
 *
 * // Another instance has taken over: this one ends in peace.
 * export const consumer = Collection.make("orders").watch().pipe(
 *   ChangeStream.consume("totals", (event) => Effect.log(event._tag)),
 *   Effect.catchTag("ConsumerReplaced", ({ consumer }) => Effect.log(`${consumer} runs elsewhere now`))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ConsumerReplaced extends Data.TaggedError("ConsumerReplaced")<{
  /** The name that both have. */
  readonly consumer: string
}> {
  override get message(): string {
    return `another consumer named ${this.consumer} has taken over`
  }
  get hint(): string {
    return "Run one consumer of a name at a time; do not start this one again while the other is meant to run, for that " +
      "would stop it in turn."
  }
  override toJSON(): object {
    return render(this, { consumer: this.consumer })
  }
}

/**
 * A message of an outbox, or an event of a consumer, could not be handled. Nothing that came after it was, so that the order
 * is kept: whoever is started next begins with it again.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ChangeStream, Collection } from "effect-mongo-session"
 *
 * export const consumer = Collection.make("orders").watch().pipe(
 *   ChangeStream.consume("mails", () => Effect.fail("no mail server")),
 *   Effect.tapErrorTag("HandlingFailed", ({ attempts, id }) => Effect.logError(`${id}, attempt ${attempts}`))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class HandlingFailed<E = unknown> extends Data.TaggedError("HandlingFailed")<{
  /** Whose it is. */
  readonly kind: "outbox" | "consumer"
  /** The name of the outbox or of the consumer. */
  readonly of: string
  /** The id of the message; the event's resume token, as a text. */
  readonly id: string
  /** Its place in the outbox, if that counts its messages. */
  readonly sequence?: number | undefined
  /** How often it has failed, in all runs. */
  readonly attempts: number
  /** What it has failed with, as {@link error} gives it. */
  readonly cause: unknown
}> {
  /** What it has failed with: the handler's own error, or `DecodeFailed` if it does not fit the schema. */
  get error(): E | DecodeFailed {
    return this.cause as E | DecodeFailed
  }
  override get message(): string {
    const { attempts, id, kind, of, sequence } = this
    // A resume token may hold the _id of a document.
    const what = kind === "consumer"
      ? "an event"
      : sequence === undefined
      ? `message ${id}`
      : `message ${id}, number ${sequence},`
    return `${what} of ${kind} ${of} could not be handled (attempt ${attempts})`
  }
  get hint(): string {
    return "Mend what it has failed with and start again, or say what is to become of it: `retry` tries it again, and " +
      "`onPoison: \"setAside\"` puts it among the dead letters, `\"skip\"` leaves it out."
  }
  override toJSON(): object {
    const { attempts, id, kind, of, sequence } = this
    return render(this, {
      kind,
      of,
      ...(kind === "outbox" && { id }),
      ...(sequence !== undefined && { sequence }),
      attempts
    })
  }
}
