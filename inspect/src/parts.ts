/**
 * A question to a server whose answer may be missing: without it the picture has less, and says so.
 */
import type * as SessionErrors from "effect-mongo-session/SessionErrors"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Missing } from "./model.js"

/** What asking fails with: the server is not there, or is none that has transactions. */
export type GatherError = SessionErrors.OperationError | SessionErrors.DecodeFailed

// One question must not keep the window from being drawn.
const patience = Duration.seconds(2)

/** The time that one question has. */
export const timeout = { timeout: patience }

/** The same, of a read. */
export const local = { ...timeout, readConcern: { level: "local" } } as const

/** What was read, and what was not. */
export interface Part<A> {
  readonly value: A
  readonly missing: ReadonlyArray<Missing>
}

/** A question. */
export interface Question<A, R> {
  /** What the picture has not, where there is no answer. */
  readonly what: string
  /** The privilege that it takes. */
  readonly privilege: string
  readonly ask: Effect.Effect<A, GatherError, R>
  /** What is asked instead of it, where the server refuses it, and what the picture has not then. */
  readonly own?: Pick<Question<A, R>, "what" | "ask"> & { readonly privilege?: string }
}

/** Asks. What a user may not see, or takes too long, is left out, and said. */
export const asked = <A, R>(
  { ask, own, privilege, what }: Question<A, R>,
  none: A
): Effect.Effect<Part<A>, GatherError, R> =>
  Effect.matchEffect(ask, {
    onSuccess: (value) => Effect.succeed<Part<A>>({ value, missing: [] }),
    onFailure: (error) => {
      const why = missingBy(error, privilege)
      if (why === undefined) return Effect.fail(error)
      // What is one's own is not found sooner.
      if (own === undefined || isLate(error)) return Effect.succeed<Part<A>>({ value: none, missing: [{ what, why }] })
      return Effect.map(
        asked({ what, privilege: own.privilege ?? privilege, ask: own.ask }, none),
        ({ missing, value }): Part<A> => ({ value, missing: missing.length > 0 ? missing : [{ what: own.what, why }] })
      )
    }
  })

const isLate = (error: GatherError): boolean => error._tag === "MongoError" && error.reason === "TimedOut"

const missingBy = (error: GatherError, privilege: string): string | undefined => {
  if (error._tag === "DecodeFailed") return `the server's answer is not understood: ${error.issue}`
  if (error._tag !== "MongoError") return undefined
  const { code, reason } = error
  if (reason === "Unauthorized") return `needs the privilege ${privilege}`
  if (isLate(error)) return `took longer than ${Duration.toSeconds(patience)} s`
  // The server has answered, and has no such command here, or refuses it: mongos, other products.
  return code === undefined || reason === "NotPrimary" ? undefined : `the server refuses it: ${reason}`
}
