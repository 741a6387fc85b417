/**
 * The input and the results of the loop over attempts.
 */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Schedule from "effect/Schedule"
import type * as Tracer from "effect/Tracer"
import type { MongoError } from "../../MongoError.js"
import type {
  CommitUnknown,
  SessionEnded,
  SessionLapsed,
  TransactionAborted,
  TransactionDoomed
} from "../../SessionErrors.js"
import type * as Telemetry from "../../Telemetry.js"
import type * as TransactionOptions from "../../TransactionOptions.js"
import * as Log from "../telemetry/log.js"
import type { Hook } from "./attempt.js"
import * as Hooks from "./hooks.js"
import type * as Outcome from "./outcome.js"
import type { Part } from "./part.js"

/** How to run a transaction. */
export interface Plan<VR, OR> {
  readonly options: TransactionOptions.Resolved
  /** How long the run may take in all, operations included; absent: as long as they take. */
  readonly timeout: Duration.Duration | undefined
  readonly retry: Schedule.Schedule<unknown, MongoError>
  /** Whether who loses a conflict waits for those that write the same. */
  readonly doesQueue: boolean
  /** Whether the caller can be interrupted: a finalizer cannot. */
  readonly isInterruptible: boolean
  /** The span that it is started in. */
  readonly span: Tracer.AnySpan | undefined
  readonly verifyCommit: Effect.Effect<Exit.Exit<boolean, unknown>, never, VR> | undefined
  readonly onRetry: ((retry: Telemetry.Retry) => Effect.Effect<void, never, OR>) | undefined
  readonly isSandbox: boolean
  /** Whether what is read in it is locked. */
  readonly isSerializable: boolean
  /** The transaction around this one, in another session. */
  readonly outer: Part | undefined
}

/** What is run in each attempt, with the context that it has in a part. */
export interface Body<A, E, R> {
  readonly effect: Effect.Effect<A, E, R>
  readonly contextOf: (part: Part, around: Context.Context<never>) => Context.Context<never>
}

/** What a run fails with by itself. */
export type RunError =
  | SessionEnded
  | SessionLapsed
  | MongoError
  | TransactionAborted
  | TransactionDoomed
  | CommitUnknown

/** How a run ended, and what is to run now. */
export interface Finished<A, E> {
  readonly _tag: "Finished"
  readonly exit: Exit.Exit<A, E>
  readonly hooks: ReadonlyArray<Hook>
  readonly outcome: Telemetry.TransactionOutcome
}

/** The body is to be run again. */
export interface Again {
  readonly _tag: "Again"
  readonly failure: MongoError
  readonly delay: Duration.Duration
  readonly part: Part
  /** What ends the attempt on the server where no other follows. */
  readonly rest: Effect.Effect<void>
}

/** What became of an attempt. */
export type Result<A, E> = Finished<A, E | RunError> | Again

/** The end of a run, with the hooks that are due then. */
export const finished = <A, E>(
  { of }: Part,
  exit: Exit.Exit<A, E>,
  ended: Exclude<Outcome.Ended, "no">,
  outcome: Telemetry.TransactionOutcome = Log.outcomeOf[ended]
): Finished<A, E> => ({ _tag: "Finished", exit, hooks: Hooks.due(of, ended), outcome })
