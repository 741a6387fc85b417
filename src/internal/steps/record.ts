/**
 * What is stored of a workflow, and what follows from it. Pure functions.
 *
 * The document of a workflow is that of its lease, too: so each transaction of a step conflicts with a takeover.
 */
import type * as Driver from "mongodb"
import { counted, marking } from "../changes/own.js"

/** How far a workflow has come. */
export type State = "running" | "succeeded" | "compensating" | "failed"

/** A workflow, as it is stored, besides its lease. */
export interface Record extends Driver.Document {
  readonly _id: string
  readonly name: string
  readonly id: string
  readonly version: unknown
  readonly state: State
  /** The steps that have taken effect and that have a compensation, in their order. */
  readonly compensations: ReadonlyArray<string>
}

/** The name of a workflow's lease. */
export const leaseOf = (name: string, id: string): string => `${name}/${id}`

/** The key of a step. */
export const keyOf = (id: string, step: string): string => `${id}/${step}`

/** The update that begins a workflow, and leaves one that has begun as it is. */
export const beginning = (name: string, id: string, version: number): Array<Driver.Document> => {
  const given = { $literal: { name, id, version, state: "running", compensations: [] } }
  const begun = { $mergeObjects: ["$$ROOT", given, counted] }
  return [{ $replaceWith: { $cond: [{ $eq: [{ $type: "$state" }, "missing"] }, begun, "$$ROOT"] } }]
}

/** The filter and the update that note that a step takes effect: only while nothing has failed. */
export const noting = (_id: string, step: string, isCompensated: boolean) => ({
  filter: { _id, state: "running" },
  update: { $set: { step }, ...(isCompensated && { $push: { compensations: step } }), $inc: marking }
})

/** The filter and the update by which a workflow comes to another state. */
export const moving = (_id: string, from: State, to: State) => ({
  filter: { _id, state: from },
  update: { $set: { state: to }, $inc: marking }
})

/** The filter and the update that note that a step was compensated. */
export const compensated = (_id: string, step: string) => ({
  filter: { _id, state: "compensating" },
  update: { $pull: { compensations: step }, $inc: marking }
})

/** Finds the workflows that nobody works on, by the server's clock. */
export const left = (name: string, version: number): Driver.Document => ({
  name,
  version,
  state: { $in: ["running", "compensating"] },
  $expr: { $lte: ["$expiresAt", "$$NOW"] }
})
