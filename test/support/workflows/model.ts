/**
 * What must become of a workflow, by what the library promises of transactions: a plain, slow interpreter without a server,
 * which knows nothing of how the library does it.
 */
import { maxAttempts, type Step, type Workflow } from "./workflows.js"
import type { Count, End, Part, Place, Ran, Transaction } from "./world.js"
import { fail, isReason, keyOf, make, ok } from "./world.js"

/** What must become of a workflow. */
export interface Expected {
  /** `Success`, the tag of the failure, `Defect` or `Interrupted`. */
  readonly result: string
  readonly written: ReadonlyMap<string, Count>
  readonly hooks: ReadonlyArray<Ran>
  /** What the daemons failed with. */
  readonly late: ReadonlyArray<string>
  /** It depends on who is first. */
  readonly isVague: boolean
  /** At how many moments it could have been interrupted. */
  readonly moments: number
  readonly retries: number
}

/** What became of a workflow. */
export interface Observed {
  readonly result: string
  readonly written: ReadonlyMap<string, number>
  readonly hooks: ReadonlyArray<string>
  readonly late: ReadonlyArray<string>
}

/** Runs a workflow in the model; `interruptAt` is the moment, counted from 0, at which it is interrupted as a whole. */
export const expected = (workflow: Workflow, interruptAt = Number.POSITIVE_INFINITY): Expected => {
  const late: Array<string> = []
  let retries = 0
  const {
    beforeCommit,
    blur,
    endByHand,
    isInterrupted,
    isVague,
    moments,
    operation,
    ran,
    send,
    settle,
    write,
    written
  } = make(workflow, interruptAt)

  const transact = (body: Step, path: string, place: Place): End => {
    for (let attempt = 1;; attempt++) {
      const transaction: Transaction = {
        driver: "starting",
        alive: false,
        ended: "no",
        rollbackOnly: false,
        transient: false,
        failedOperation: false,
        halfDone: undefined,
        hooks: [],
        pending: []
      }
      const part: Part = { within: undefined, operations: 0, failed: false }
      let end = go(body, path, { ...place, transaction, part })
      if (end._tag === "Ok") end = beforeCommit(transaction)
      if (end._tag === "Ok" && isInterrupted()) end = { _tag: "Interrupted" }
      const done = (result: End, ended: Transaction["ended"]): End => {
        settle(transaction, ended)
        if (isInterrupted()) return { _tag: "Interrupted" }
        // What was not worth another attempt here does not repeat the transaction around it.
        return result._tag === "Fail" ? { ...result, failure: { ...result.failure, transient: false } } : result
      }

      let again = transaction.transient || (end._tag === "Fail" && isReason(end.failure, transaction))
      if (transaction.ended === "no") {
        if (end._tag !== "Ok" && end._tag !== "Fail") return done(end, "aborted")
        if (end._tag === "Ok" && transaction.rollbackOnly) return done(end, "aborted")
        if (!again) {
          if (end._tag === "Fail") return done(end, "aborted")
          if (transaction.failedOperation || transaction.halfDone !== undefined) {
            return done(fail("TransactionDoomed", transaction.halfDone), "aborted")
          }
          let answer = send(transaction, place.isCalm)
          while (answer === "lost") answer = send(transaction, place.isCalm)
          if (answer === "ok") return done(end, "committed")
          if (answer === "unsatisfied") return done(fail("CommitUnknown"), "unknown")
          if (answer === "refused") return done(fail("MongoError"), "refused")
          again = true
        }
      } else if (
        transaction.ended === "committed" || transaction.ended === "unknown" || end._tag !== "Fail" || !again
      ) {
        return done(end, transaction.ended)
      }
      if (attempt === maxAttempts) return done(fail(`TransactionAborted(${attempt})`), "aborted")
      if (isInterrupted()) return done({ _tag: "Interrupted" }, "aborted")
      retries++
    }
  }

  const join = (body: Step, path: string, place: Place, transaction: Transaction): End => {
    const part: Part = { within: place.part, operations: 0, failed: false }
    const end = go(body, path, { ...place, part })
    if (end._tag !== "Ok") {
      part.failed = true
      if (part.operations > 0) {
        transaction.halfDone ??= end._tag === "Fail" ? end.failure : { tag: end._tag, transient: false, gone: false }
      }
    }
    return end
  }

  const go = (step: Step, path: string, place: Place): End => {
    const { transaction } = place
    switch (step._tag) {
      case "Write":
        return write(place, keyOf(step.collection, path), path, step.fault)
      case "Read":
        return operation(place, undefined, path, () => {})
      case "Fail":
        return isInterrupted() ? { _tag: "Interrupted" } : fail("Declined")
      case "Die":
        return isInterrupted() ? { _tag: "Interrupted" } : { _tag: "Die" }
      case "Stall":
        return isInterrupted() ? { _tag: "Interrupted" } : { _tag: "Stalled" }
      case "RollbackOnly":
        if (transaction !== undefined) transaction.rollbackOnly = true
        return ok
      case "End":
        if (transaction === undefined) return ok
        return isInterrupted() ? { _tag: "Interrupted" } : endByHand(transaction, step.how)
      case "Hook":
        if (isInterrupted()) return { _tag: "Interrupted" }
        if (transaction === undefined) return ok
        if (hasPassed(step.moment, transaction.ended)) return fail("TransactionEnded")
        transaction.hooks.push({ moment: step.moment, does: step.does, id: path, place })
        return ok
      case "Late":
        if (isInterrupted()) return { _tag: "Interrupted" }
        if (transaction !== undefined) late.push("TransactionEnded")
        return ok
      case "Seq": {
        for (const [index, part] of step.parts.entries()) {
          const end = go(part, `${path}.${index}`, place)
          if (end._tag !== "Ok") return end
        }
        return ok
      }
      case "All": {
        for (const [index, part] of step.parts.entries()) {
          const branch = [...place.branch, `${path}/${index}`]
          const end = go(part, `${path}.${index}`, { ...place, branch, isCalm: true })
          if (end._tag !== "Ok") blur()
        }
        return ok
      }
      case "Clash":
      case "Race": {
        if (step._tag === "Clash") {
          const end = write(place, keyOf("left", path), path)
          if (end._tag !== "Ok") return end
        }
        for (let index = 0; index < step.writes; index++) {
          write({ ...place, isCalm: true }, keyOf("left", `${path}.${index}`), `${path}.${index}`, undefined, false)
        }
        return step._tag === "Clash" ? fail("Declined") : ok
      }
      case "Run":
        return enter(step, path, place)
      case "Outside":
        return go(
          step.body,
          path,
          transaction === undefined ? place : { ...place, session: "none", transaction: undefined, part: undefined }
        )
      case "Recover": {
        const end = go(step.body, path, place)
        return end._tag === "Fail" ? ok : end
      }
      case "Wrap": {
        const end = go(step.body, path, place)
        return end._tag === "Fail" ? fail("Wrapped", end.failure) : end
      }
      case "Cut": {
        const end = go(step.body, path, place)
        return end._tag !== "Stalled" ? end : step.how === "interrupt" ? ok : fail("TooLate")
      }
    }
  }

  const enter = ({ body, propagation }: Step & { _tag: "Run" }, path: string, place: Place): End => {
    const { transaction } = place
    if (transaction !== undefined && transaction.ended !== "no") {
      if (place.isCalm) blur()
      return fail("TransactionEnded")
    }
    const alone: Place = { ...place, session: "own", transaction: undefined, part: undefined }
    if (transaction !== undefined) {
      if (propagation === "never") return fail("TransactionForbidden")
      return propagation === "requiresNew" ? transact(body, path, alone) : join(body, path, place, transaction)
    }
    if (propagation === "mandatory") return fail("TransactionRequired")
    const inSession: Place = place.session === "none" ? alone : place
    return propagation === "never" ? go(body, path, inSession) : transact(body, path, inSession)
  }

  const last = go(workflow.body, "0", {
    session: workflow.ambient ? "root" : "none",
    transaction: undefined,
    part: undefined,
    branch: [],
    isCalm: false
  })
  const end: End = isInterrupted() ? { _tag: "Interrupted" } : last
  const result = end._tag === "Fail"
    ? end.failure.tag
    : end._tag === "Ok"
    ? "Success"
    : end._tag === "Die"
    ? "Defect"
    : "Interrupted"
  return { result, written, hooks: ran, late, isVague: isVague(), moments: moments(), retries }
}

// Whether a hook would never run. After a commit of unknown result, what belongs after it may.
const hasPassed = (moment: string, ended: Transaction["ended"]): boolean =>
  ended !== "no" && (moment === "beforeCommit" || ended !== "unknown")

/** In what a workflow's end differs from the model's. */
export const differences = (expected: Expected, observed: Observed): ReadonlyArray<string> => {
  const found: Array<string> = []
  if (observed.result !== expected.result) found.push(`result ${observed.result}, not ${expected.result}`)
  for (const key of new Set([...expected.written.keys(), ...observed.written.keys()])) {
    const n = observed.written.get(key) ?? 0
    const { max, min }: Count = expected.written.get(key) ?? { min: 0, max: 0 }
    if (n < min || n > max) found.push(`${key} was written ${n} times, not ${min === max ? max : `${min} to ${max}`}`)
  }
  const late = [observed.late, expected.late].map((tags) => tags.join())
  if (late[0] !== late[1]) found.push(`daemons ended with ${late[0]}, not ${late[1]}`)
  if (!isOrderOf(expected.hooks, observed.hooks)) {
    found.push(`hooks ${observed.hooks.join(" ")}, not ${expected.hooks.map(({ id }) => id).join(" ")}`)
  }
  return found
}

// Hooks of parts that ran at once may come in any order, all others only in the model's.
const isOrderOf = (expected: Expected["hooks"], observed: ReadonlyArray<string>): boolean => {
  if (expected.length !== observed.length) return false
  const places = new Map<string, Array<number>>()
  observed.forEach((id, place) => places.set(id, [...places.get(id) ?? [], place]))
  const placed = expected.map(({ branch, id }) => ({ branch, place: places.get(id)?.shift() ?? Number.NaN }))
  return placed.every((one, index) =>
    !Number.isNaN(one.place) &&
    placed.slice(index + 1).every((other) => one.place < other.place || ranAtOnce(one.branch, other.branch))
  )
}

const ranAtOnce = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): boolean =>
  one.some((branch) =>
    !other.includes(branch) && other.some((another) => another.split("/")[0] === branch.split("/")[0])
  )
