/**
 * What an attempt has seen go wrong: why it cannot be committed, and whether it may be run again for it.
 */
import * as Cause from "effect/Cause"
import { MongoError } from "../../MongoError.js"
import type { Description } from "../session/turn.js"
import { isLostConnection, isOfServer, isUnread, originOf, transientOf } from "./transient.js"

/** The failures of one attempt. The first of each kind counts: a later one would only be its consequence. */
export class Failures {
  #isLate = false
  #lateHook: MongoError | undefined
  #transient: MongoError | undefined
  #doom: Cause.Cause<unknown> | undefined
  #halfDone: Cause.Cause<unknown> | undefined
  // The origins of failures of transactions inside of this one, in other sessions, not worth another attempt there.
  #spent: Set<unknown> | undefined

  /** Whether an operation was not over in time. */
  get isLate(): boolean {
    return this.#isLate
  }

  /** What a hook has failed with for which no time was left. */
  get lateHook(): MongoError | undefined {
    return this.#lateHook
  }

  /** A failure that may go away when the whole is run again. */
  get transient(): MongoError | undefined {
    return this.#transient
  }

  /** The operation's failure that made it impossible to commit. */
  get doom(): Cause.Cause<unknown> | undefined {
    return this.#doom
  }

  /** The failure of a joined part that had written, or of a hook. */
  get halfDone(): Cause.Cause<unknown> | undefined {
    return this.#halfDone
  }

  /** Whether nothing stands against a commit. */
  get areNone(): boolean {
    return this.#transient === undefined && this.#doom === undefined && this.#halfDone === undefined
  }

  /**
   * Notes a failure that an operation has seen. What the driver refused by itself never reached the server; but what may have
   * written is done where only its reply could not be read.
   */
  note(cause: Cause.Cause<unknown>, mayWrite: boolean): void {
    const failures = [...Cause.failures(cause)]
    this.#transient ??= this.transientIn(cause) ?? failures.find(isLostConnection)
    if (failures.some((failure) => isOfServer(failure) || mayWrite && isUnread(failure))) this.#doom ??= cause
  }

  /** Notes that an operation was given up half-way: what it did to the transaction is not known. */
  giveUp({ namespace, operation }: Description): void {
    this.#doom ??= Cause.fail(new MongoError({ reason: "Interrupted", operation, namespace, labels: [] }))
  }

  /**
   * Notes that an operation was not over in time, be it that of a part or that of all: what it did to the transaction is not
   * known either.
   */
  expire(error: MongoError, isOfAll: boolean): void {
    if (isOfAll) this.#isLate = true
    this.#doom ??= Cause.fail(error)
  }

  /** Notes that a part has failed after it had written. */
  leaveHalfDone(cause: Cause.Cause<unknown>): void {
    this.#halfDone ??= cause
  }

  /** Notes that a hook has failed on which the commit depends. */
  failHook(cause: Cause.Cause<unknown>): void {
    this.#halfDone ??= cause
    this.#transient ??= this.transientIn(cause)
    // A body that has left an operation late has no hooks run.
    const doom = this.#doom && Cause.squash(this.#doom)
    if (this.#isLate && doom instanceof MongoError) this.#lateHook = doom
  }

  /** The failure in a cause for which the attempt may be run again. */
  transientIn(cause: Cause.Cause<unknown>): MongoError | undefined {
    const found = transientOf(cause)
    return found === undefined || this.#spent?.has(originOf(found)) === true || this.#isConsequence(found)
      ? undefined
      : found
  }

  /** Notes what was not worth another attempt in a transaction inside of this one. Says whether there was anything. */
  spend(cause: Cause.Cause<unknown>): boolean {
    const found = transientOf(cause)
    if (found === undefined) return false
    this.#spent ??= new Set()
    this.#spent.add(originOf(found))
    return true
  }

  /** Forgets all but what was spent: another transaction was started. */
  clear(): void {
    this.#isLate = false
    this.#lateHook = undefined
    this.#transient = undefined
    this.#doom = undefined
    this.#halfDone = undefined
  }

  // Whether a failure says no more than that the transaction is gone, after another has ended it that will not go away by
  // itself: the server calls it transient all the same, and running the whole again would lead there again.
  #isConsequence(failure: MongoError): boolean {
    return failure.reason === "NoSuchTransaction" && this.#doom !== undefined && this.#transient === undefined
  }
}
