/**
 * Every error of the library but {@link MongoError}: misuse, expiry and the outcomes of transactions; and the unions of
 * errors, for signatures.
 *
 * Messages are built from the library's own words and from names (operations, options, collections), never from
 * values: no URL, no credential, no document. Each error has a `hint` that says how to put things right; its JSON holds
 * tag, message, hint and the fields that are names or numbers.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { ConsumerReplaced } from "./ChangeStreamErrors.js"
import type { DecodeFailed } from "./internal/values/decodeErrors.js"
import type { Issue } from "./internal/values/issues.js"
import {
  CryptoUnavailable,
  ForeignSession,
  SessionBusy,
  SessionEnded,
  type SessionLapsed,
  SessionMisconfigured,
  SessionsUnsupported,
  UnacknowledgedWrite
} from "./internal/values/sessionErrors.js"
import type { LeaseLost, LeaseTaken } from "./LeaseErrors.js"
import type { MongoError } from "./MongoError.js"
import type { InProgress, KeyReused } from "./OnceErrors.js"
import type { CompensationFailed, StepsDiverged, StepsOutdated } from "./StepsErrors.js"
import {
  type CommitUnknown,
  IncompatibleJoin,
  InvalidInTransaction,
  type TransactionAborted,
  type TransactionDoomed,
  TransactionEnded,
  TransactionForbidden,
  TransactionRequired,
  TransactionUnsupported
} from "./TransactionErrors.js"

export type {
  /** One thing that is wrong with an option or a document. @since 0.1.0 @category models */
  Issue
}
export * from "./ChangeStreamErrors.js"
export * from "./internal/values/decodeErrors.js"
export * from "./internal/values/sessionErrors.js"
export * from "./LeaseErrors.js"
export * from "./OnceErrors.js"
export * from "./StepsErrors.js"
export * from "./TransactionErrors.js"

/**
 * What acquiring a session can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type AcquireError =
  | SessionMisconfigured
  | CryptoUnavailable
  | SessionsUnsupported
  | UnacknowledgedWrite
  | MongoError

/**
 * What using a session can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type UseError =
  | SessionEnded
  | SessionLapsed
  | SessionBusy
  | UnacknowledgedWrite
  | TransactionEnded
  | TransactionDoomed
  | MongoError

/**
 * What running a transaction can fail with, besides the errors of its body, by its `propagation`. Default: `required`.
 *
 * @since 0.1.0
 * @category errors
 */
export type TransactionError<Propagation extends keyof RunErrors = "required"> = RunErrors[Propagation]

interface RunErrors {
  readonly required: RunErrors["requiresNew"] | IncompatibleJoin
  readonly requiresNew:
    | AcquireError
    | SessionEnded
    | SessionLapsed
    | SessionBusy
    | ForeignSession
    | TransactionAborted
    | CommitUnknown
    | TransactionDoomed
    | TransactionUnsupported
    | TransactionEnded
  readonly mandatory:
    | SessionMisconfigured
    | ForeignSession
    | TransactionEnded
    | TransactionRequired
    | IncompatibleJoin
  readonly never: AcquireError | ForeignSession | TransactionEnded | TransactionForbidden
}

/**
 * What a sandbox can fail with, besides the errors of its body: it never commits.
 *
 * @since 0.1.0
 * @category errors
 */
export type SandboxError = Exclude<TransactionError<"requiresNew">, CommitUnknown>

/**
 * What one operation on data can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type OperationError = UseError | ForeignSession | InvalidInTransaction

/**
 * What manual control of a transaction can fail with, whatever it does.
 *
 * @since 0.1.0
 * @category errors
 */
export type ManualError = SessionEnded | SessionLapsed | SessionBusy | TransactionEnded | MongoError

/**
 * What following a change stream can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type WatchError = OperationError | DecodeFailed

/**
 * What consuming a change stream can fail with, besides the errors of the stream and of the handler.
 *
 * @since 0.1.0
 * @category errors
 */
export type ConsumeError = OperationError | TransactionError | DecodeFailed | ConsumerReplaced

/**
 * What publishing in an outbox can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type PublishError = DecodeFailed | MongoError | ForeignSession | TransactionEnded | SessionMisconfigured

/**
 * What relaying the messages of an outbox can fail with, besides `HandlingFailed`, which has the errors of the delivery.
 *
 * @since 0.1.0
 * @category errors
 */
export type RelayError = OperationError | TransactionError | DecodeFailed | ConsumerReplaced

/**
 * What running an effect once can fail with, besides the errors of the effect and the failures that it has declared.
 *
 * @since 0.1.0
 * @category errors
 */
export type OnceError = OperationError | TransactionError | DecodeFailed | InProgress | KeyReused

/**
 * What acquiring a lease can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type LeaseError = OperationError | SessionMisconfigured | LeaseTaken

/**
 * What a step of a workflow can fail with, besides the errors of its effect and the failures that it has declared.
 *
 * @since 0.1.0
 * @category errors
 */
export type StepError = OnceError | LeaseLost | StepsDiverged

/**
 * What running a workflow can fail with, besides the errors of its body.
 *
 * @since 0.1.0
 * @category errors
 */
export type StepsError = LeaseError | TransactionError | LeaseLost | StepsOutdated | StepsDiverged | CompensationFailed

/**
 * The errors that are mistakes in a program, or in where it was deployed. A correct program never meets them, except
 * where it asked for them: `SessionBusy` with `onBusy: "fail"`, and those of the propagations `mandatory` and `never`.
 *
 * The others are what a correct program meets and acts on: `MongoError`, `DecodeFailed`, `CausalTokenRefused`,
 * `SessionLapsed`, `TransactionAborted`, `CommitUnknown`, `TransactionDoomed`, `ConsumerReplaced`,
 * `HandlingFailed`, `InProgress`, `KeyReused`, `LeaseLost`, `LeaseTaken`, `StepsOutdated`, `StepsDiverged` and
 * `CompensationFailed`.
 *
 * @since 0.1.0
 * @category errors
 */
export type Misuse =
  | SessionMisconfigured
  | CryptoUnavailable
  | SessionsUnsupported
  | SessionEnded
  | SessionBusy
  | ForeignSession
  | UnacknowledgedWrite
  | TransactionRequired
  | TransactionForbidden
  | IncompatibleJoin
  | InvalidInTransaction
  | TransactionUnsupported
  | TransactionEnded

/**
 * Whether an error is a mistake in the program.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, SessionErrors } from "effect-mongo-session"
 *
 * export const program = Collection.make("users").countDocuments().pipe(
 *   Effect.tapError((error) => SessionErrors.isMisuse(error) ? Effect.logFatal(error.hint) : Effect.void)
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export const isMisuse = (error: unknown): error is Misuse =>
  Object.values(misuses).some((misuse) => error instanceof misuse)

/**
 * Makes mistakes in the program defects, so that they leave the type of an effect's errors. The message of a defect ends
 * with the error's hint, which loggers do not print otherwise.
 *
 * Errors to act on are handled first: an effect that asks for `onBusy: "fail"` catches `SessionBusy` before this. Use it at
 * the edge of a service. A `SessionEnded` whose `reason` is `broken` becomes a defect, too: its session cannot be used again.
 *
 * @example
 * ```ts
 * import { Collection, SessionErrors, Transaction } from "effect-mongo-session"
 *
 * const Stock = Collection.make("stock")
 *
 * // Fails with MongoError, SessionLapsed, TransactionAborted, CommitUnknown or TransactionDoomed.
 * const take = (item: string) =>
 *   Stock.updateOne({ item }, { $inc: { left: -1 } }).pipe(Transaction.run(), SessionErrors.orDieOnMisuse)
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const orDieOnMisuse = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, Exclude<E, Misuse>, R> =>
  Effect.mapErrorCause(
    effect,
    (cause) =>
      Cause.flatMap(
        cause,
        (error) => isMisuse(error) ? Cause.die(withHint(error)) : Cause.fail(error as Exclude<E, Misuse>)
      )
  )

const misuses: { readonly [Tag in Misuse["_tag"]]: new(...fields: never) => Extract<Misuse, { readonly _tag: Tag }> } =
  {
    SessionMisconfigured,
    CryptoUnavailable,
    SessionsUnsupported,
    SessionEnded,
    SessionBusy,
    ForeignSession,
    UnacknowledgedWrite,
    TransactionRequired,
    TransactionForbidden,
    IncompatibleJoin,
    InvalidInTransaction,
    TransactionUnsupported,
    TransactionEnded
  }

// The same error to whoever looks at it; not a copy, for the fields of a copy would be lost on its getters.
const withHint = (error: Misuse): Misuse =>
  Object.create(error, { message: { value: `${error.message}. ${error.hint}` } }) as Misuse
