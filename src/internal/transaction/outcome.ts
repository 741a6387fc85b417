/**
 * The tables of decisions: what follows an attempt, a commit, and the verification of a commit. Pure functions.
 *
 * See the specifications "Transactions" and "Convenient API for Transactions".
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"

/** How a body ended. A mixed cause counts as the first of `interrupt`, `defect` and `failure` in it. */
export type BodyExit = "success" | "failure" | "defect" | "interrupt"

/**
 * The kind of a body's exit. Where parts run at once and one fails, the others are interrupted for it, by fibers that are
 * `inner` to the body: beside a failure, these interruptions do not count.
 */
export const bodyExit = (
  exit: Exit.Exit<unknown, unknown>,
  isInterrupted: boolean,
  isInner: (fiber: FiberId.Runtime) => boolean
): BodyExit => {
  if (Exit.isSuccess(exit)) return "success"
  const { cause } = exit
  const isMixed = Cause.isFailure(cause) || Cause.isDie(cause)
  const isByInner = () =>
    [...Cause.interruptors(cause)].every((id) => id._tag !== "None" && [...FiberId.toSet(id)].every(isInner))
  if (isInterrupted || Cause.isInterrupted(cause) && !(isMixed && isByInner())) return "interrupt"
  return Cause.isDie(cause) ? "defect" : "failure"
}

/**
 * Whether the body has ended the transaction itself, by manual control.
 *
 * - `no`: it is open
 * - `aborted`: it was aborted
 * - `committed`: it was committed
 * - `unknown`: whether it was committed is not known
 * - `refused`: a commit was refused, so that nothing was committed
 */
export type Ended = "no" | "aborted" | "committed" | "unknown" | "refused"

/** What is known of an attempt when its body has ended. */
export interface AttemptFacts {
  readonly body: BodyExit
  readonly ended: Ended
  /** The failure of the body, or anything that the attempt saw, may go away when the whole is run again. */
  readonly transient: boolean
  /** An operation has failed on the server, or a joined part has failed after writing. */
  readonly doomed: boolean
  /** The body has asked for its writes to be undone. */
  readonly rollbackOnly: boolean
  /** Time and schedule allow for another attempt. */
  readonly mayRetry: boolean
}

/**
 * - `keep`: the body's exit is the result; there is nothing left to end
 * - `commit`: commit, then the body's exit is the result
 * - `rollback`: abort, then the body's exit is the result
 * - `retry`: abort, and run the body again
 * - `giveUp`: abort, and fail: attempts or time ran out
 * - `doom`: abort, and fail: the body succeeded although a part of it had failed
 */
export type AttemptDecision = "keep" | "commit" | "rollback" | "retry" | "giveUp" | "doom"

/** What becomes of an attempt. */
export const ofAttempt = (facts: AttemptFacts): AttemptDecision => {
  const again = facts.mayRetry ? "retry" : "giveUp"
  switch (facts.ended) {
    case "committed":
    case "unknown":
      return "keep"
    case "aborted":
    case "refused":
      // Nothing was committed, so that what the specification says of the body's failures holds.
      return facts.body === "failure" && facts.transient ? again : "keep"
    case "no":
      switch (facts.body) {
        case "interrupt":
        case "defect":
          return "rollback"
        case "failure":
          return facts.transient ? again : "rollback"
        case "success":
          return facts.rollbackOnly ? "rollback" : facts.transient ? again : facts.doomed ? "doom" : "commit"
      }
  }
}

/** What is known after a commit was sent. */
export interface CommitFacts {
  readonly answer: "ok" | "failed"
  /** The server says that nothing was committed, and that the whole may be run again. */
  readonly transient: boolean
  /** It is not known whether the commit happened. */
  readonly unknown: boolean
  /** Sending the commit again would tell nothing new: it was answered, or its own time limit ran out. */
  readonly final: boolean
  /** Time is left to send the commit again. */
  readonly timeLeft: boolean
  /** Time and schedule allow for another attempt of the whole. */
  readonly mayRetry: boolean
}

/**
 * - `committed`
 * - `commitAgain`: send the commit again
 * - `ask`: it can't be known from here whether it was committed
 * - `retry`: run the body again
 * - `giveUp`: fail: attempts or time ran out, and nothing was committed
 * - `fail`: the server refused the commit for good
 */
export type CommitDecision = "committed" | "commitAgain" | "ask" | "retry" | "giveUp" | "fail"

/** What becomes of a transaction whose commit was sent. */
export const ofCommit = (facts: CommitFacts): CommitDecision => {
  if (facts.answer === "ok") return "committed"
  if (facts.unknown) return !facts.final && facts.timeLeft ? "commitAgain" : "ask"
  if (facts.transient) return facts.mayRetry ? "retry" : "giveUp"
  return "fail"
}

/** What is known once it was asked whether a commit of unknown result had happened. */
export interface VerifiedFacts {
  /** What the program says of it; `silent`: there was nobody to ask, or no answer. */
  readonly answer: "committed" | "notCommitted" | "silent"
  /**
   * What the server says of it, asked by aborting the transaction: aborted, so that it cannot be committed any more;
   * committed, by a majority; or nothing.
   */
  readonly late: "aborted" | "committed" | "unknown"
  /** Time and schedule allow for another attempt of the whole. */
  readonly mayRetry: boolean
}

/**
 * - `committed`
 * - `retry`: run the body again
 * - `giveUp`: fail: attempts or time ran out, and nothing was committed
 * - `unknown`: fail: it may have been committed
 */
export type VerifiedDecision = "committed" | "retry" | "giveUp" | "unknown"

/** What becomes of a transaction when it was asked whether its commit had happened. */
export const ofVerified = (facts: VerifiedFacts): VerifiedDecision => {
  switch (facts.late) {
    case "committed":
      return "committed"
    case "aborted":
      return facts.mayRetry ? "retry" : "giveUp"
    case "unknown":
      return facts.answer === "committed" ? "committed" : "unknown"
  }
}
