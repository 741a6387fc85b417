/**
 * Locks what a read of a serializable transaction searches for: writes a field of its own into each document, in the
 * transaction, before the read. Whoever reads or writes the same document in another transaction loses a conflict.
 *
 * See the manual, "Production Considerations", section "In-progress Transactions and Stale Reads".
 */
import * as Predicate from "effect/Predicate"
import type * as Driver from "mongodb"
import { InvalidInTransaction } from "../../SessionErrors.js"
import type { Request } from "./request.js"

/** The field that is written. */
const field = "transactionLock"

/** Why a read can't be a part of a serializable transaction; none where it can. The caller's own code locks by itself. */
export const refusalOf = ({ canLock, isCode }: Request, operation: string): InvalidInTransaction | undefined =>
  canLock === true || isCode === true ? undefined : new InvalidInTransaction({ operation, option: "isolation" })

/** Runs a read after what it searches for is locked. */
export const locked = async <A>(
  collection: Driver.Collection,
  { options, values }: Request,
  session: Driver.ClientSession,
  read: () => PromiseLike<A>
): Promise<A> => {
  // Another value each time: what changes nothing is no write, and conflicts with none.
  await collection.updateMany(
    values?.[0] ?? {},
    { $set: { [field]: globalThis.crypto.randomUUID() } },
    // As the read compares, so that the same documents match.
    {
      session,
      ...(options !== undefined && Predicate.hasProperty(options, "collation") &&
        { collation: options.collation as Driver.CollationOptions })
    }
  )
  return read()
}
