/**
 * What `$currentOp` tells: transactions, what waits, and what sessions do.
 */
import * as Arr from "effect/Array"
import { blockersOf, heldBy, type Owner, type Request, type Resource, writersOf } from "./locks.js"
import type { Holder, Session, Transaction, Wait, Waiting } from "./model.js"
import { defined, numberOf, record, records, textOf, timeOf, type Unknown, uuidOf } from "./values.js"

/** How this program calls itself to the server. */
export const ownName = "effect-mongo-session inspect"

/** An entry of `$currentOp`. */
interface Operation extends Owner {
  readonly raw: Unknown
  readonly app: string | undefined
  readonly name: string | undefined
  readonly span: string | undefined
  readonly traceparent: string | undefined
  readonly user: string | undefined
  readonly isActive: boolean
  /** The number of the transaction over several documents that it belongs to. */
  readonly number: number | undefined
}

const operationOf = (raw: Unknown): Operation => {
  const transaction = record(record(raw["transaction"])["parameters"])
  const [user] = records(raw["effectiveUsers"])
  return {
    raw,
    ...spanOf(record(raw["command"])["comment"] ?? record(record(raw["cursor"])["originatingCommand"])["comment"]),
    app: textOf(raw["appName"]) || undefined,
    name: nameOf(raw),
    user: user === undefined ? undefined : textOf(`${String(user["user"])}@${String(user["db"])}`),
    session: uuidOf(record(raw["lsid"])["id"]),
    opid: numberOf(raw["opid"]),
    isActive: raw["active"] === true && raw["type"] !== "idleSession",
    // A retryable write has a number as well, but no autocommit.
    number: typeof transaction["autocommit"] === "boolean" ? numberOf(transaction["txnNumber"]) : undefined
  }
}

// The span that the library puts into comments; of any other comment only what is a text.
const spanOf = (comment: unknown): Pick<Operation, "span" | "traceparent"> => {
  const { span, traceparent } = record(comment)
  return { span: textOf(comment) ?? textOf(span), traceparent: textOf(traceparent) }
}

const nameOf = ({ command, op, ns, type }: Unknown): string | undefined => {
  const namespace = textOf(ns) ?? ""
  if (type === "idleCursor") return `cursor on ${namespace}`
  const [first] = Object.keys(record(command))
  const name = op === "command" ? textOf(first) : textOf(op)
  if (name === undefined || name === "none" || name === "") return undefined
  return namespace === "" || /(^admin\.|\.\$cmd)/.test(namespace) ? name : `${name} ${namespace}`
}

/** What is open on a server. */
export interface Activity {
  readonly transactions: ReadonlyArray<Transaction>
  readonly waiting: ReadonlyArray<Waiting>
  /** What each session does that does anything. */
  readonly doing: ReadonlyMap<string, Omit<Session, "session" | "usedMs">>
}

/** Reads the entries of `$currentOp`, with the locks if these are known. Nothing of this program's own is in it. */
export const activityOf = (
  entries: ReadonlyArray<unknown>,
  resources: ReadonlyArray<Resource>,
  now: number
): Activity => {
  const operations = entries.map((entry) => operationOf(record(entry)))
    .filter(({ app, raw }) => app !== ownName && !isListing(raw))
  const bySession = Object.entries(Arr.groupBy(operations, ({ session }) => session ?? ""))
  const waits = new Waits(operations, resources)
  const transactions = bySession.flatMap(([session, all]) => {
    const main = all.find(({ number }) => number !== undefined)
    return main === undefined ? [] : [transactionOf(session, main, all, waits, resources, now)]
  })
  return {
    transactions: transactions.sort((one, other) => other.ageMs - one.ageMs),
    waiting: operations.flatMap((operation) => {
      const wait = operation.number === undefined ? waits.of(operation) : undefined
      return wait === undefined ? [] : [waitingOf(operation, wait)]
    }).sort((one, other) => other.ageMs - one.ageMs),
    doing: new Map(
      bySession.filter(([session]) => session !== "").map(([session, all]) => [session, doingOf(all)])
    )
  }
}

// The cursor of a stage that asks the server itself, as this program does; a cursor tells no name of its client.
const isListing = ({ ns, type }: Unknown): boolean => type === "idleCursor" && ns === "admin.$cmd.aggregate"

const transactionOf = (
  session: string,
  main: Operation,
  all: ReadonlyArray<Operation>,
  waits: Waits,
  resources: ReadonlyArray<Resource>,
  now: number
): Transaction => {
  const transaction = record(main.raw["transaction"])
  const expiry = timeOf(transaction["expiryTime"])
  const micros = (name: string) => Math.round((numberOf(transaction[name]) ?? 0) / 1000)
  const wait = waits.of(main)
  return defined<Transaction>({
    session,
    number: main.number ?? 0,
    user: first(all, "user"),
    app: first(all, "app"),
    client: textOf(main.raw["client"]),
    span: first(all, "span"),
    traceparent: first(all, "traceparent"),
    ageMs: micros("timeOpenMicros"),
    idleMs: micros("timeInactiveMicros"),
    // As of when the server has looked at it, which is later than the time of the picture.
    expiresInMs: expiry === undefined ? undefined : expiry - (timeOf(main.raw["currentOpTime"]) ?? now),
    state: wait !== undefined ? "waiting" : main.isActive ? "running" : "idle",
    operation: first(all, "name"),
    locks: heldBy(resources, main),
    wait
  })
}

const first = (operations: ReadonlyArray<Operation>, field: "user" | "app" | "span" | "traceparent" | "name") =>
  operations.find((operation) => operation[field] !== undefined)?.[field]

const waitingOf = ({ app, name, raw, session, span }: Operation, wait: Wait): Waiting =>
  defined<Waiting>({
    operation: name ?? "an operation",
    session,
    app,
    span,
    ageMs: Math.round((numberOf(raw["microsecs_running"]) ?? 0) / 1000),
    wait
  })

const doingOf = (all: ReadonlyArray<Operation>): Omit<Session, "session" | "usedMs"> => {
  const number = all.find(({ number }) => number !== undefined)?.number
  return defined<Omit<Session, "session" | "usedMs">>({
    user: first(all, "user"),
    app: first(all, "app"),
    doing: number === undefined ? first(all, "name") : `transaction ${number}`
  })
}

// Who waits for whom.
class Waits {
  readonly #operations: ReadonlyArray<Operation>
  readonly #resources: ReadonlyArray<Resource>

  constructor(operations: ReadonlyArray<Operation>, resources: ReadonlyArray<Resource>) {
    this.#operations = operations
    this.#resources = resources
  }

  of(operation: Operation): Wait | undefined {
    const { isActive, raw } = operation
    if (!isActive) return undefined
    if (raw["waitingForLock"] === true) {
      const blockers = blockersOf(this.#resources, operation)
      return defined<Wait>({ kind: "lock", on: blockers?.on, holders: this.#holders(blockers?.by ?? []) })
    }
    if ((numberOf(raw["writeConflicts"]) ?? 0) === 0) return undefined
    const on = textOf(raw["ns"]) ?? ""
    const isOpen = (of: ReadonlyArray<Operation>) =>
      of.some(({ number, session }) => number !== undefined && session !== operation.session)
    return { kind: "conflict", on, holders: this.#holders(writersOf(this.#resources, on), isOpen) }
  }

  #holders(requests: ReadonlyArray<Request>, isMeant: (of: ReadonlyArray<Operation>) => boolean = () => true) {
    const found = requests.map((request) =>
      this.#operations.filter(({ opid, session }) =>
        request.session === undefined
          ? request.opid !== undefined && opid === request.opid
          : session === request.session
      )
    )
    return found.filter((of) => of.length > 0 && isMeant(of)).map((of) =>
      defined<Holder>({
        session: of[0]?.session,
        operation: first(of, "name"),
        app: first(of, "app"),
        span: first(of, "span")
      })
    )
  }
}

/**
 * Adds what was seen before of transactions that are idle now: the server keeps no command of these.
 */
export const remembering = (
  before: ReadonlyArray<Transaction>,
  now: ReadonlyArray<Transaction>
): ReadonlyArray<Transaction> => {
  const keyOf = ({ number, session }: Transaction) => `${session}/${number}`
  const known = new Map(before.map((transaction) => [keyOf(transaction), transaction]))
  return now.map((transaction) => {
    const { operation, span, traceparent } = known.get(keyOf(transaction)) ?? {}
    return defined<Transaction>({
      ...transaction,
      span: transaction.span ?? span,
      traceparent: transaction.traceparent ?? traceparent,
      operation: transaction.operation ?? operation
    })
  })
}
