/**
 * What is stored of a lease, and what follows from what is found. Pure functions.
 *
 * All times are of the server's clock: the server stores them, and the server compares them. The documents stay, so that the
 * token goes on growing.
 */
import * as Duration from "effect/Duration"
import type * as Driver from "mongodb"
import { counted } from "../changes/own.js"
import { numberOf } from "../values/numbers.js"

/** A lease, as it is stored. */
export interface Record extends Driver.Document {
  /** What the lease is called. */
  readonly _id: string
  /** How often it was acquired. */
  readonly token: unknown
  /** Made anew for each acquisition; null when it was released. */
  readonly holder: string | null
  /** When it was acquired. */
  readonly takenAt: Date
  /** Until when it is held. */
  readonly expiresAt: Date
}

/** What an acquisition finds: the lease as it is afterwards, and how long that is held still, in milliseconds. */
export interface Found extends Driver.Document {
  readonly holder: string | null
  readonly token: unknown
  readonly remaining: unknown
}

// Each update counts itself ({@link counted}): one that left the document as it was would conflict with nobody.

const isHeld = { $gt: ["$expiresAt", "$$NOW"] }

const until = (time: Duration.Duration): Driver.Document => ({ $add: ["$$NOW", Duration.toMillis(time)] })

// The clock of another primary may be behind, and a guard may be older than the last renewal: nobody who holds the lease is to have
// it for less time than they were told.
const prolonged = (time: Duration.Duration): Driver.Document => ({ $max: ["$expiresAt", until(time)] })

/**
 * The update that takes a lease if nobody holds it, and leaves it as it is if another does. A repeated acquisition finds
 * itself, and has the same token.
 */
export const take = (holder: string, time: Duration.Duration): Array<Driver.Document> => {
  const isMine = { $and: [isHeld, { $eq: ["$holder", holder] }] }
  const changed = (fields: Driver.Document) => ({ $mergeObjects: ["$$ROOT", { ...fields, ...counted }] })
  const again = { expiresAt: prolonged(time) }
  const acquired = {
    token: { $add: [{ $ifNull: ["$token", 0] }, 1] },
    holder,
    takenAt: "$$NOW",
    expiresAt: until(time)
  }
  return [{ $replaceWith: { $cond: [isMine, changed(again), { $cond: [isHeld, "$$ROOT", changed(acquired)] }] } }]
}

/** What is asked for with {@link take}. */
export const found: Driver.Document = {
  holder: 1,
  token: 1,
  remaining: { $subtract: ["$expiresAt", "$$NOW"] }
}

/** The filter that finds a lease only while it is held with this token. */
export const held = (_id: string, holder: string, token: number): Driver.Filter<Record> => ({
  _id,
  holder,
  token,
  $expr: isHeld
})

/** The update that renews a lease. */
export const renew = (time: Duration.Duration): Array<Driver.Document> => [
  { $set: { expiresAt: prolonged(time), ...counted } }
]

/** The update that releases a lease. */
export const released: Array<Driver.Document> = [{ $set: { holder: null, expiresAt: "$$NOW", ...counted } }]

/**
 * - `Held`: the lease is held with this token
 * - `Taken`: another has it
 */
export type Decision =
  | { readonly _tag: "Held"; readonly token: number }
  | { readonly _tag: "Taken"; readonly remaining: Duration.Duration }

/** What follows from what an acquisition has found. */
export const decide = ({ holder, remaining, token }: Found, own: string): Decision =>
  holder === own
    ? { _tag: "Held", token: numberOf(token) }
    : { _tag: "Taken", remaining: Duration.millis(Math.max(0, numberOf(remaining))) }
