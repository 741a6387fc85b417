/**
 * What the library promises of an operation and of a transaction, by plain Effect code: one at a time, with a signal, waited for
 * until it has settled when it is interrupted, and with a typed error. No options, retries, metrics or checks.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { ClientSession } from "mongodb"

/** Why an operation has failed. */
export class Failed extends Data.TaggedError("Failed")<{ readonly cause: unknown }> {}

/** A session of the driver, and what has its operations run one after the other. */
export interface Guarded {
  readonly session: ClientSession
  readonly turn: Effect.Semaphore
}

/** What the options of the driver take in a session. */
export interface Options {
  readonly session: ClientSession
  readonly signal: AbortSignal
}

/** An operation. */
export const operation = <A>(
  { session, turn }: Guarded,
  send: (options: Options) => Promise<A>
): Effect.Effect<A, Failed> =>
  turn.withPermits(1)(Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const controller = new AbortController()
      const promise = send({ session, signal: controller.signal })
      const settled = Effect.async<void>((resume) => {
        const over = () => resume(Effect.void)
        promise.then(over, over)
      })
      const answer = Effect.async<A, Failed>((resume) => {
        promise.then(
          (value) => resume(Effect.succeed(value)),
          (cause) => resume(Effect.fail(new Failed({ cause })))
        )
      })
      return Effect.onInterrupt(restore(answer), () => {
        controller.abort()
        return settled
      })
    })
  ))

/** A transaction, which is not run again. */
export const transaction = <A, E>(guarded: Guarded, body: Effect.Effect<A, E>): Effect.Effect<A, E | Failed> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      guarded.session.startTransaction()
      return restore(body)
    }).pipe(Effect.matchCauseEffect({
      onFailure: (cause) =>
        Effect.zipRight(
          Effect.ignore(operation(guarded, ({ session }) => session.abortTransaction())),
          Effect.failCause(cause)
        ),
      onSuccess: (value) => Effect.as(operation(guarded, ({ session }) => session.commitTransaction()), value)
    }))
  )
