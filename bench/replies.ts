/**
 * The replies of the null responder, which are the same for every command.
 */
import { Long } from "mongodb"
import type { Reply } from "../test/support/server/responder.js"
import { person } from "./documents.js"

/** Its replies, with so many documents in each batch of a cursor. */
export const replies = (length: number): Readonly<Record<string, Reply>> => {
  const batch = Array.from({ length }, () => person)
  // A cursor of whole batches never ends: the reader's limit ends it.
  const cursor = { id: length === 1 ? Long.ZERO : Long.ONE, ns: "test.people" }
  return {
    find: { cursor: { ...cursor, firstBatch: batch } },
    getMore: { cursor: { ...cursor, nextBatch: batch } },
    insert: { n: 1 },
    update: { n: 1, nModified: 1 },
    commitTransaction: {},
    refreshSessions: {},
    ping: {}
  }
}
