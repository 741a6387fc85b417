/**
 * What is to be killed: a session, or one transaction of it, as a user names it.
 */
import * as Either from "effect/Either"
import type { Snapshot } from "./model.js"

/** A session; with a number, only while that transaction is open in it. */
export interface Target {
  readonly session: string
  readonly number: number | undefined
}

/** The session whose id begins so, and the number of a transaction behind a slash: `1ae86751/3`. Else what is wrong. */
export const find = (named: string, { sessions, transactions }: Snapshot): Either.Either<Target, string> => {
  const [, start = "", digits] = /^([0-9a-f][0-9a-f-]{3,35})(?:\/(\d{1,15}))?$/i.exec(named) ?? []
  if (start === "") {
    return Either.left("name a session by the first 4 or more characters of its id, and a transaction as id/number")
  }
  const number = digits === undefined ? undefined : Number(digits)
  const known = [...new Set([...transactions, ...sessions].map(({ session }) => session))]
  const found = known.filter((session) => session.startsWith(start.toLowerCase()))
  const [session] = found
  if (session === undefined) return Either.left(`the server knows no session ${start}`)
  if (found.length > 1) return Either.left(`${found.length} sessions begin with ${start}: give more of the id`)
  return number === undefined || isOpen({ transactions }, session, number)
    ? Either.right({ session, number })
    : Either.left(`transaction ${number} of session ${session} is not open`)
}

/** Whether a transaction is open. */
export const isOpen = ({ transactions }: Pick<Snapshot, "transactions">, session: string, number: number): boolean =>
  transactions.some((one) => one.session === session && one.number === number)
