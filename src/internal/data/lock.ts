/**
 * Locks what a read of a serializable transaction searches for: writes a field of its own into each document, in the
 * transaction, before the read. Whoever reads or writes the same document in another transaction loses a conflict.
 *
 * See the manual, "Production Considerations", section "In-progress Transactions and Stale Reads".
 */
import type * as Driver from "mongodb"
import { InvalidInTransaction } from "../../SessionErrors.js"
import { asDocuments } from "../driver/readOptions.js"
import type { Signalled } from "../driver/signal.js"
import { numberOf } from "../values/numbers.js"
import { optionOf, withoutOwn } from "./options.js"
import type { Request } from "./request.js"

/** The field that is written. */
const field = "transactionLock"

/** Why a read can't be a part of a serializable transaction; none where it can. The caller's own code locks by itself. */
export const refusalOf = ({ canLock, isCode }: Request, operation: string): InvalidInTransaction | undefined =>
  canLock === true || isCode === true ? undefined : new InvalidInTransaction({ operation, option: "isolation" })

/**
 * Runs a read after what it searches for is locked, and tells it how many documents are. An interruption stops the lock only
 * before it is sent, as it does any write, and the read at any time; the read does not begin any more.
 */
export const locked = async <A>(
  collection: Driver.Collection,
  { options, values }: Request,
  { comment, session }: Pick<Driver.UpdateOptions, "comment" | "session">,
  signals: Signalled,
  read: (locked: number) => PromiseLike<A>
): Promise<A> => {
  // Another value each time: what changes nothing is no write, and conflicts with none.
  const { modifiedCount } = await collection.updateMany(
    values?.[0] ?? {},
    { $set: { [field]: globalThis.crypto.randomUUID() } },
    {
      ...(comment !== undefined && { comment }),
      ...asRead(options),
      ...asDocuments,
      ...(session && { session }),
      // Missing in the driver's types of an update, though it passes it on to the selection of a server.
      signal: signals.unsent
    } as Driver.UpdateOptions
  )
  if (!signals.goesOn()) throw new Error("the read was given up while it waited for its lock")
  return read(numberOf(modifiedCount))
}

// As the read compares and searches, so that the same documents match, and as it is limited and found in logs.
const asRead = (options: object | undefined): Driver.UpdateOptions =>
  withoutOwn(Object.fromEntries(shared.map((name) => [name, optionOf(options, name)])))

const shared = ["collation", "let", "hint", "maxTimeMS", "comment"] satisfies ReadonlyArray<keyof Driver.UpdateOptions>
