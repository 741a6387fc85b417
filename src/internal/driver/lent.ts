/**
 * Lends the driver session to a `use`, until the promise of the `use` has settled.
 *
 * Without that limit, operations that the promise leaves behind would go on in the session, and would be committed with the next
 * transaction. The function gets a proxy; the session itself stays as it is.
 */
import type * as Driver from "mongodb"
import { MongoExpiredSessionError, MongoTransactionError } from "mongodb"
import { hint } from "./hints.js"
import { ofClient, ofCursor, type Session as OwnSession } from "./privates.js"
import type { Signalled } from "./signal.js"

type Session = Driver.ClientSession

/** A transaction of a session was begun, committed or aborted by the driver session of a `use`. */
class Misuse extends MongoTransactionError {
  readonly [hint] =
    "Begin, commit and abort transactions by `Transaction.run`, or by hand with `Transaction.start`, `commit` and `abort`."
}

/** Something was to be sent with the driver session of a `use` after that had settled. */
class Late extends MongoExpiredSessionError {
  readonly [hint] =
    "Wait for everything that a `use` begins before its promise settles: `Promise.all` rejects with the " +
    "first failure, and leaves the others behind; `Promise.allSettled` waits for all."
}

const endings: ReadonlySet<PropertyKey> = new Set([
  "startTransaction",
  "commitTransaction",
  "abortTransaction",
  "withTransaction"
])

// What the driver looks at, in this order, when an operation begins; and what it looks at when one ends.
const beginning = ["snapshotEnabled", "client", "inTransaction", "isPinned"] as const
const end: keyof OwnSession = "owner"

const loans = new WeakMap<object, Loan>()

class Loan implements ProxyHandler<Session> {
  readonly session: Session
  isTouched = false
  /** Whether nothing may be sent any more. */
  isOver = false
  misuse: Misuse | undefined
  readonly of: Session
  // How many operations of the driver are in flight, and how much of a beginning was seen.
  #inFlight = 0
  #seen = 0
  #hasJustEnded = false
  #wake: (() => void) | undefined

  readonly #refused: () => void

  constructor(session: Session, refused: () => void) {
    this.of = session
    this.#refused = refused
    this.session = new Proxy(session, this)
    loans.set(this.session, this)
  }

  get(of: Session, name: PropertyKey): unknown {
    this.isTouched = true
    this.#follow(name)
    if (endings.has(name)) return () => this.#refuse(String(name))
    const value: unknown = Reflect.get(of, name, of)
    return typeof value === "function" && name !== "constructor" ? value.bind(of) : value
  }

  set(of: Session, name: PropertyKey, value: unknown): boolean {
    return Reflect.set(of, name, value, of)
  }

  /** Waits until none of the driver's operations is in flight. */
  async quiet(): Promise<void> {
    while (this.#inFlight > 0) await new Promise<void>((resolve) => this.#wake = resolve)
  }

  get isQuiet(): boolean {
    return this.#inFlight === 0
  }

  #follow(name: PropertyKey): void {
    if (name === end) this.#end()
    else if (name === "inTransaction" && this.#hasJustEnded) this.#undoEnd()
    else if (name === beginning[this.#seen]) {
      if (this.#seen > 0 && this.isOver) {
        this.#refused()
        throw new Late("the use that the session was lent to is over")
      }
      if (++this.#seen < beginning.length) return
      this.#inFlight++
    }
    this.#seen = 0
  }

  #end(): void {
    if (this.#inFlight === 0) return
    this.#hasJustEnded = true
    queueMicrotask(() => {
      this.#hasJustEnded = false
      if (this.#inFlight === 0) this.#wake?.()
    })
    this.#inFlight--
  }

  // It was a cursor that was closed, of which the driver looks at both in the same turn: its operation has ended before.
  #undoEnd(): void {
    this.#hasJustEnded = false
    this.#inFlight++
  }

  #refuse(name: string): never {
    throw this.misuse ??= new Misuse(`${name} was called on the driver session of a use`)
  }
}

/** What is done in a `use`. */
export type Use<A> = (session: Session, signal: AbortSignal) => PromiseLike<A>

/** What lends a session. */
export interface Lender {
  /** The client whose cursors may go on in a later loan. */
  readonly client: Driver.MongoClient
  /** Calls a function, and refuses all that would begin in the session meanwhile. */
  readonly calling: <A>(call: () => A) => A
  /** Called if the function never looked at the session. */
  readonly unused: () => void
  /** Called when something was to be sent too late; if that was a cursor's, the cursor is open on the server still. */
  readonly refused: () => void
}

/**
 * Runs a function with a driver session that it has until its promise has settled. Gives that promise, settled when nothing
 * that was sent with the session is in flight any more, and rejected if the function ended a transaction, or began one.
 */
export const lending = <A>(use: Use<A>, { calling, client, refused, unused }: Lender) =>
async (
  session: Session,
  controller: Pick<Signalled, "signal">
): Promise<A> => {
  const loan = new Loan(session, refused)
  const open = [loan, ...again(session, client)]
  for (const one of open) one.isOver = false
  const [settled] = await Promise.allSettled([called(() => calling(() => run(use, loan.session, controller)))])
  for (const one of open) one.isOver = true
  for (const one of open) if (!one.isQuiet) await one.quiet()
  // However the function has gone on after it.
  if (loan.misuse !== undefined) throw loan.misuse
  if (settled.status === "rejected") throw settled.reason
  // A cursor that was made, and not asked for anything yet, has not looked at it either.
  if (!open.some(({ isTouched }) => isTouched) && !again(session, client).includes(loan)) unused()
  return settled.value
}

// What throws instead of rejecting is treated alike.
const called = async <A>(f: () => PromiseLike<A>): Promise<A> => f()

// No signal is made for a function that does not take one; what has no parameters in writing may take them all.
const run = <A>(use: Use<A>, session: Session, controller: Pick<Signalled, "signal">): PromiseLike<A> =>
  use.length === 1 ? (use as (session: Session) => PromiseLike<A>)(session) : use(session, controller.signal)

// A cursor that an earlier loan has made, and that is open still, goes on in this one.
const again = (session: Session, client: Driver.MongoClient): ReadonlyArray<Loan> => {
  const found = new Set<Loan>()
  for (const cursor of ofClient(client).s.activeCursors) {
    const of = ofCursor(cursor).session
    const loan = of === null ? undefined : loans.get(of)
    if (loan?.of === session) found.add(loan)
  }
  return [...found]
}

/** The driver session behind one that was lent. */
export const own = (session: Session | null): Session | null =>
  session === null ? session : loans.get(session)?.of ?? session

/** Sends something with a session that was lent, though the loan is over: what closes a cursor. */
export const once = async (session: Session | null, send: () => Promise<void>): Promise<void> => {
  const loan = session === null ? undefined : loans.get(session)
  if (loan === undefined || !loan.isOver) return send()
  loan.isOver = false
  try {
    await send()
  } finally {
    loan.isOver = true
  }
}
