/**
 * What the window shows of a deployment.
 */
import type { Snapshot } from "../../../inspect/src/model.js"

/** A deployment on which nothing goes on. */
export const nothing: Snapshot = {
  at: "2026-11-27T12:00:10.000Z",
  hosts: ["localhost:27017"],
  deployment: "replica set rs0",
  version: "6.0.5",
  transactions: [],
  waiting: [],
  sessionCount: 0,
  sessions: [],
  outboxes: [],
  consumers: [],
  leases: [],
  onceCount: 0,
  once: [],
  missing: []
}
