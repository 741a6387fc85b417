/**
 * The world of the model of workflows: what operations, commits and hooks do in it, and what it remembers of them.
 */
import type { Doing, Moment, Step, Workflow } from "./workflows.js"

/** How often a key was written, at least and at most. */
export interface Count {
  min: number
  max: number
}

/** A hook that ran: where in the workflow it stands, and in which of the parts that ran at once. */
export interface Ran {
  readonly id: string
  readonly branch: ReadonlyArray<string>
}

/** A failure, and whether what it comes from may go away. */
export interface Failure {
  readonly tag: string
  readonly transient: boolean
  /** It says no more than that the server does not have the transaction any more, for which there may be another reason. */
  readonly gone: boolean
}

/** How a step ends. */
export type End =
  | { readonly _tag: "Ok" | "Die" | "Stalled" | "Interrupted" }
  | { readonly _tag: "Fail"; readonly failure: Failure }

/** A part of a transaction. */
export interface Part {
  readonly within: Part | undefined
  operations: number
  failed: boolean
}

/** A hook, and where it was registered. */
export interface Hook {
  readonly moment: Moment
  readonly does: Doing
  readonly id: string
  readonly place: Place
}

/** A transaction, as the program, the driver and the server see it. */
export interface Transaction {
  driver: "none" | "starting" | "inProgress" | "committed" | "committedEmpty" | "aborted"
  /** Whether the server still has it; it may be gone without the driver knowing. */
  alive: boolean
  ended: "no" | "aborted" | "committed" | "unknown" | "refused"
  rollbackOnly: boolean
  transient: boolean
  /** The failure that makes it impossible to commit, and the one that says so first. */
  failedOperation: boolean
  halfDone: Failure | undefined
  hooks: Array<Hook>
  pending: Array<{ readonly key: string; readonly isSure: boolean }>
}

/** Where a step runs. */
export interface Place {
  readonly session: "none" | "root" | "own"
  readonly transaction: Transaction | undefined
  readonly part: Part | undefined
  readonly branch: ReadonlyArray<string>
  readonly isCalm: boolean
}

/** The end of a step that succeeds. */
export const ok: End = { _tag: "Ok" }
/** The end of a step that fails. */
export const fail = (tag: string, { gone = false, transient = false }: Partial<Failure> = {}): End => ({
  _tag: "Fail",
  failure: { tag, transient, gone }
})

/** Whether a failure is a reason to run a transaction again: not if it only follows from one that will not go away. */
export const isReason = ({ gone, transient }: Failure, transaction: Transaction): boolean =>
  transient && !(gone && transaction.failedOperation && !transaction.transient)

/** Where the key of a write in a workflow is kept, and called what. */
export const keyOf = (collection: "left" | "right", path: string): string => `${collection}:${path}`

/** A world in which one workflow runs; `interruptAt` is the moment, counted from 0, at which it is interrupted. */
export const make = (workflow: Workflow, interruptAt: number) => {
  const written = new Map<string, Count>()
  const ran: Array<Ran> = []
  const spent = new Map<string, number>()
  let commitFaults = workflow.commits?.times ?? 0
  let moments = 0
  let masked = 0
  let vague = false

  const isInterrupted = (): boolean => masked === 0 && moments++ >= interruptAt

  const apply = (key: string, isSure: boolean): void => {
    const count = written.get(key) ?? { min: 0, max: 0 }
    written.set(key, { min: count.min + (isSure ? 1 : 0), max: count.max + 1 })
  }

  const hasFailed = (part: Part | undefined): boolean => part !== undefined && (part.failed || hasFailed(part.within))

  // An operation in whatever it runs in; `act` is what it does there.
  const operation = (
    place: Place,
    fault: (Step & { _tag: "Write" })["fault"],
    path: string,
    act: (transaction: Transaction | undefined) => void
  ): End => {
    if (isInterrupted()) return { _tag: "Interrupted" }
    const { transaction } = place
    const failures = spent.get(path) ?? 0
    const kind = fault !== undefined && failures < fault.times ? fault.kind : undefined
    if (kind !== undefined) spent.set(path, failures + 1)
    // After a failure nothing more is sent.
    if (transaction?.ended === "no" && (transaction.transient || transaction.failedOperation)) {
      if (place.isCalm) vague = true
      return transaction.transient ? fail("MongoError", { transient: true }) : fail("TransactionDoomed")
    }
    for (let part = place.part; part !== undefined; part = part.within) part.operations++

    const failed = (transient: boolean, gone = false): End => {
      if (place.isCalm) vague = true
      const tag = place.session === "none" ? "Direct" : "MongoError"
      const failure: Failure = { tag, transient, gone }
      if (transaction !== undefined) {
        transaction.transient ||= isReason(failure, transaction)
        transaction.failedOperation = true
      }
      return { _tag: "Fail", failure }
    }
    if (kind === "thrown") return failed(true)
    const isOpen = transaction?.driver === "starting" || transaction?.driver === "inProgress"
    if (transaction === undefined || !isOpen) {
      if (transaction !== undefined) transaction.driver = "none"
      if (kind !== undefined) return failed(kind === "failPoint")
      act(undefined)
      return ok
    }
    const isFirst = transaction.driver === "starting"
    transaction.driver = "inProgress"
    if (isFirst) transaction.alive = kind !== "failPoint"
    if (kind === "failPoint") return failed(true)
    if (!transaction.alive) return failed(true, true)
    if (kind === "duplicate") {
      transaction.alive = false
      return failed(false)
    }
    act(transaction)
    return ok
  }

  const write = (place: Place, key: string, path: string, fault?: (Step & { _tag: "Write" })["fault"], isSure = true) =>
    operation(place, fault, path, (transaction) => {
      if (transaction === undefined) apply(key, isSure)
      else transaction.pending.push({ key, isSure })
    })

  const act = (hook: Hook): End => {
    ran.push({ id: hook.id, branch: hook.place.branch })
    if (hook.does === "fail") return fail("Declined")
    return hook.does === "nothing" ? ok : write(hook.place, keyOf("left", hook.id), hook.id)
  }

  // Hooks that run when all is over: outside of the transaction, in its session, and never stopped.
  const settle = (transaction: Transaction, ended: Transaction["ended"]): void => {
    masked++
    for (const hook of transaction.hooks) {
      const isBack = hasFailed(hook.place.part) || ended === "aborted" || ended === "refused"
      if (ended === "unknown" || hook.moment !== (isBack ? "onRollback" : "onCommit")) continue
      act({ ...hook, place: { ...hook.place, transaction: undefined, part: undefined, isCalm: false } })
    }
    masked--
  }

  const beforeCommit = (transaction: Transaction): End => {
    for (let index = 0; index < transaction.hooks.length; index++) {
      const { ended, failedOperation, halfDone, rollbackOnly, transient } = transaction
      if (ended !== "no" || rollbackOnly || transient || failedOperation || halfDone !== undefined) return ok
      const hook = transaction.hooks[index]!
      if (hook.moment !== "beforeCommit" || hasFailed(hook.place.part)) continue
      const end = act(hook)
      if (end._tag === "Fail") {
        transaction.halfDone = end.failure
        transaction.transient ||= isReason(end.failure, transaction)
      } else if (end._tag !== "Ok") {
        return end
      }
    }
    return ok
  }

  // Sends one commit.
  const send = (
    transaction: Transaction,
    isCalm: boolean
  ): "ok" | NonNullable<Workflow["commits"]>["kind"] | "gone" => {
    const isEmpty = transaction.driver === "starting" || transaction.driver === "committedEmpty"
    transaction.driver = isEmpty ? "committedEmpty" : "committed"
    if (isEmpty) return "ok"
    const kind = commitFaults > 0 ? workflow.commits?.kind : undefined
    if (kind !== undefined) {
      commitFaults--
      // Whose commit meets it depends on who is first.
      if (isCalm) vague = true
    }
    if (kind !== undefined && kind !== "unsatisfied") return kind
    if (!transaction.alive) return "gone"
    for (const { isSure, key } of transaction.pending.splice(0)) apply(key, isSure)
    return kind ?? "ok"
  }

  // What stands against a commit by hand: hooks that have not run must not be missing from it.
  const objectionTo = (transaction: Transaction): Partial<Failure> | undefined => {
    const { ended, failedOperation, halfDone, hooks, rollbackOnly, transient } = transaction
    if (halfDone !== undefined) return halfDone
    if (ended !== "no") return undefined
    if (rollbackOnly) return {}
    const isStopped = transient || failedOperation
    const isDue = hooks.some(({ moment, place }) => moment === "beforeCommit" && !hasFailed(place.part))
    return isStopped && isDue ? { transient } : undefined
  }

  const endByHand = (transaction: Transaction, how: "commit" | "abort"): End => {
    if (how === "abort") {
      if (transaction.driver !== "starting" && transaction.driver !== "inProgress") return fail("MongoError")
      transaction.driver = "aborted"
      transaction.ended = "aborted"
      transaction.pending = []
      return ok
    }
    const end = beforeCommit(transaction)
    if (end._tag !== "Ok") return end
    const objection = objectionTo(transaction)
    if (objection !== undefined) {
      const aborted = endByHand(transaction, "abort")
      return aborted._tag === "Ok" ? fail("TransactionDoomed", objection) : aborted
    }
    if (transaction.driver === "none" || transaction.driver === "aborted") return fail("MongoError")
    const answer = send(transaction, false)
    transaction.ended = answer === "ok"
      ? "committed"
      : answer === "lost" || answer === "unsatisfied"
      ? "unknown"
      : "refused"
    return answer === "ok"
      ? ok
      : fail("MongoError", { transient: answer === "transient" || answer === "gone", gone: answer === "gone" })
  }

  return {
    written,
    ran,
    isInterrupted,
    write,
    operation,
    settle,
    beforeCommit,
    send,
    endByHand,
    /** Notes that it depends on who is first. */
    blur: (): void => void (vague = true),
    isVague: () => vague,
    moments: () => moments
  }
}
