/**
 * What is to be killed: a session, or one transaction of it, as a user names it.
 */
import * as Either from "effect/Either"
import type { Transaction } from "./model.js"

/** A session, by the beginning of its id; with a number, only while that transaction is open in it. */
export interface Named {
  readonly start: string
  readonly number: number | undefined
}

/** Reads what a user names: an id's beginning, and the number of a transaction behind a slash: `1ae86751/3`. */
export const parse = (named: string): Either.Either<Named, string> => {
  const [, start = "", digits] = /^([0-9a-f][0-9a-f-]{3,35})(?:\/(\d{1,15}))?$/i.exec(named) ?? []
  // Ids are pasted with and without hyphens.
  const { length } = digitsOf(start)
  return length < 4 || length > 32
    ? Either.left("name a session by the first 4 or more characters of its id, and a transaction as id/number")
    : Either.right({ start: start.toLowerCase(), number: digits === undefined ? undefined : Number(digits) })
}

/** The lowest and the highest id that begin so, in hexadecimal. */
export const rangeOf = (start: string): readonly [low: string, high: string] => {
  const digits = digitsOf(start).slice(0, 32)
  return [digits.padEnd(32, "0"), digits.padEnd(32, "f")]
}

/** What the server knows of the sessions whose ids begin so. */
export interface Known {
  readonly sessions: ReadonlyArray<{ readonly session: string }>
  readonly transactions: ReadonlyArray<Transaction>
}

/** A session with the transaction that it has open. */
export interface Target {
  readonly session: string
  readonly transaction: Transaction | undefined
}

/** The one session that is meant. Else what is wrong. */
export const choose = ({ number, start }: Named, { sessions, transactions }: Known): Either.Either<Target, string> => {
  const known = [...new Set([...transactions, ...sessions].map(({ session }) => session))]
  const found = known.filter((session) => digitsOf(session).startsWith(digitsOf(start)))
  const [session] = found
  if (session === undefined) return Either.left(`the server knows no session ${start}`)
  if (found.length > 1) return Either.left(`${found.length} sessions begin with ${start}: give more of the id`)
  const transaction = openIn(session, transactions)
  return number === undefined || transaction?.number === number
    ? Either.right({ session, transaction })
    : Either.left(`transaction ${number} of session ${session} is not open`)
}

/**
 * The target as it is now, shortly before it is killed. A session of a pool goes on to other work: what was not named, nor shown
 * to whoever was asked, is not killed.
 */
export const again = (
  { number }: Named,
  { session, transaction }: Target,
  { transactions }: Known,
  isAsked: boolean
): Either.Either<Target, string> => {
  const now = openIn(session, transactions)
  if (number !== undefined && now?.number !== number) {
    return Either.left(`transaction ${number} of session ${session} is not open any more: nothing was killed`)
  }
  return isAsked && now !== undefined && now.number !== transaction?.number
    ? Either.left(`session ${session} has begun transaction ${now.number} since it was shown: nothing was killed`)
    : Either.right({ session, transaction: now })
}

const digitsOf = (id: string): string => id.replaceAll("-", "")

const openIn = (session: string, transactions: Known["transactions"]): Transaction | undefined =>
  transactions.find((one) => one.session === session)
