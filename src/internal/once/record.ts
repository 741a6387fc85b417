/**
 * What is stored of a key, and what follows from what is found. Pure functions.
 */
import type * as Duration from "effect/Duration"
import { toMillis } from "effect/Duration"
import type * as Driver from "mongodb"
import { mark, markedId, marking } from "../changes/own.js"

/** How far the run with a key has come. Only its own transaction sees one that is running. */
export type State = "running" | "succeeded" | "failed"

/** A key, as it is stored. */
export interface Record extends Driver.Document {
  /** Name and key, marked. */
  readonly _id: string
  readonly state: State
  /** Made anew for each attempt. */
  readonly attempt: string
  /** What the effect has succeeded with, or failed with, encoded. */
  readonly value?: unknown
  readonly fingerprint?: string | undefined
  /** When the key was taken, by the server's clock. */
  readonly at: Date
  /** When the server may remove it; absent: never. */
  readonly expiresAt?: Date | undefined
}

/** The `_id` of a key. A prefix is a name, which has no slash, or begins with a slash. */
export const idOf = (prefix: string, key: string): string => markedId(`${prefix}/${key}`)

/** What is stored when a key is taken. */
export interface Taking {
  readonly state: State
  readonly attempt: string
  readonly value?: unknown
  readonly fingerprint?: string | undefined
  readonly timeToLive: Duration.Duration | undefined
}

/** The update that takes a key that is not there, and leaves one that is there as it is. */
export const take = ({ timeToLive, ...fields }: Taking): ReadonlyArray<Driver.Document> => {
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  const times = {
    at: "$$NOW",
    ...(timeToLive !== undefined && { expiresAt: { $add: ["$$NOW", toMillis(timeToLive)] } })
  }
  const taken = { $mergeObjects: ["$$ROOT", { $literal: { ...given, ...marking } }, times] }
  return [{ $replaceWith: { $cond: [{ $eq: [{ $type: `$${mark}` }, "missing"] }, taken, "$$ROOT"] } }]
}

/** What is set when the effect has ended. */
export const ended = (state: State, value: unknown): Driver.Document => ({
  $set: { state, ...(value !== undefined && { value }) }
})

/**
 * - `Run`: the key is taken for this run now
 * - `Answer`: the effect had succeeded or failed with this value
 * - `Running`: it runs in this very transaction
 * - `Reused`: the key belongs to another request
 */
export type Decision =
  | { readonly _tag: "Run" }
  | {
    readonly _tag: "Answer"
    readonly state: "succeeded" | "failed"
    readonly value: unknown
    readonly attempt: string
  }
  | { readonly _tag: "Running" }
  | { readonly _tag: "Reused" }

/**
 * What follows from what was there when the key was to be taken. Who has no fingerprint does not ask for one. A run without a
 * result stores that it has succeeded before it has: in its own transaction, `running` tells.
 */
export const decide = (
  found: Record | null,
  fingerprint: string | undefined,
  running?: ReadonlySet<string>
): Decision => {
  if (found === null) return { _tag: "Run" }
  if (fingerprint !== undefined && found.fingerprint !== fingerprint) return { _tag: "Reused" }
  return found.state === "running" || running?.has(found.attempt) === true
    ? { _tag: "Running" }
    : { _tag: "Answer", state: found.state, value: found.value, attempt: found.attempt }
}
