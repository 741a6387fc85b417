/**
 * What is known of a write conflict, and how a message tells it: never by values or documents, unless the client was asked to
 * keep them.
 */
import * as Duration from "effect/Duration"
import { textOf } from "./foreign.js"

/**
 * Another transaction of the same client that had written what a transaction has lost.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rival {
  /** Its last operation on it, e.g. `updateOne`. */
  readonly operation: string
  /** How long its attempt had been open. */
  readonly age: Duration.Duration
  /** The span that it runs in, if it is in one. */
  readonly span?: { readonly name: string; readonly traceId: string; readonly spanId: string } | undefined
}

/**
 * A transaction that was open on the server when another was given up.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenTransaction {
  /** The name that its client gives itself, the driver's option `appName`. Default: it gives none. */
  readonly appName?: string | undefined
  /** The address of its client, as the server sees it. It is in no message. */
  readonly client?: string | undefined
  /** How long it had been open, by the server's clock. */
  readonly age: Duration.Duration
  /** The id of its session, a UUID. */
  readonly session: string
  /** Whether the session is one of this client. */
  readonly isHere: boolean
  /** The namespace that it worked on just then, if it was at work. */
  readonly namespace?: string | undefined
}

/**
 * What the server told of the transactions that were open when one was given up.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerView {
  /**
   * Whose transactions were asked for: `all`, or those of the client's own user (`own`), where it has not the privilege
   * `inprog`. `nothing`: the server did not tell, or not in time.
   */
  readonly seen: "all" | "own" | "nothing"
  /** All that were open then, the oldest first, 20 at most. The server does not tell which documents they hold. */
  readonly transactions: ReadonlyArray<OpenTransaction>
}

/**
 * What is known of a write conflict, or of a lock that a transaction did not get in time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Conflict {
  /** The operation that has lost, e.g. `updateOne`. */
  readonly operation: string
  /** Database and collection, where they are known. */
  readonly namespace?: string | undefined
  /** The fields by whose values it has searched: `_id` alone where the filter has one. None where that is not known. */
  readonly fields: ReadonlyArray<string>
  /** The number of what it has searched for in `Transaction.report`: the same for the same values. */
  readonly document?: number | undefined
  /** The values of the fields, with the client's option `conflicts.values`. */
  readonly values?: Readonly<Record<string, unknown>> | undefined
  /** Other transactions of the same client that had written the same, and were open. */
  readonly rivals: ReadonlyArray<Rival>
  /** What the server told of others, when the transaction was given up. Default: it was not asked. */
  readonly server?: ServerView | undefined
}

/**
 * A conflict as it is told in JSON: without the addresses of other clients, and without names of fields that may be values
 * themselves.
 */
export const toldOf = (conflict: Conflict | undefined): Conflict | undefined => {
  if (conflict === undefined) return undefined
  const { fields, server, values } = conflict
  return {
    ...conflict,
    fields: fields.map(safeName),
    ...(values !== undefined && {
      values: Object.fromEntries(Object.entries(values).map(([name, value]) => [safeName(name), value]))
    }),
    ...(server !== undefined && {
      server: { ...server, transactions: server.transactions.map(({ client: _, ...rest }) => rest) }
    })
  }
}

/** What a message says of a conflict besides the operation and its namespace; empty where nothing more is known. */
export const described = ({ document, fields, rivals, values }: Conflict): string => {
  const what = document === undefined ? "" : `; document ${document} by ${fields.map(fieldOf(values)).join(", ")}`
  const who = rivals.slice(0, mostNamed).map(({ age, operation, span }) =>
    `${operation}${span === undefined ? "" : ` in ${quoted(span.name)}`}, open for ${Duration.format(age)}`
  )
  return `${what}${who.length === 0 ? "" : `; also written here by ${listed(who, rivals.length, "; ")}`}`
}

/** What a message says of the transactions that the server has told of; empty where it was not asked. */
export const describedView = (view: ServerView | undefined): string => {
  if (view === undefined) return ""
  if (view.seen === "nothing") return "; the server did not tell which transactions were open"
  const others = view.transactions.filter(({ isHere }) => !isHere)
  const here = view.transactions.length - others.length
  const named = others.slice(0, mostNamed).map(({ age, appName }) =>
    `${appName === undefined ? "one without a name" : quoted(appName)} for ${Duration.format(age)}`
  )
  const ofUser = view.seen === "own" ? " of the same user" : ""
  const all = [
    ...(named.length === 0 ? [] : [listed(named, others.length, ", ")]),
    ...(here === 0 ? [] : [`${here} of this client`])
  ]
  return `; open on the server then${ofUser}: ${all.length === 0 ? "no others" : all.join(" and ")}`
}

/** The name of a field, or what takes its place where it may be a value itself, as the key of a map is. */
export const safeName = (name: string): string => /^[A-Za-z_][\w.]{0,63}$/.test(name) ? name : "(a field)"

// In a message. All are in the fields of the error.
const mostNamed = 5

const longestText = 80

const listed = (named: ReadonlyArray<string>, all: number, separator: string): string =>
  `${named.join(separator)}${all > named.length ? `${separator}and ${all - named.length} more` : ""}`

const quoted = (name: string): string => JSON.stringify(name.slice(0, longestText))

const fieldOf = (values: Conflict["values"]) => (name: string): string => {
  const safe = safeName(name)
  return values === undefined ? safe : `${safe} ${quoted(textOf(values[name]))}`
}
