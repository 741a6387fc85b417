/**
 * Publishes messages: they are collected while the transaction runs, and written at its end.
 */
import * as Effect from "effect/Effect"
import type { MongoError } from "../../../MongoError.js"
import { type OperationError, TransactionEnded } from "../../../SessionErrors.js"
import { operation } from "../../data/operation.js"
import { serverTime } from "../../driver/bson.js"
import type { RunningFiber } from "../../time/fiber.js"
import type { Attempt } from "../../transaction/attempt.js"
import { hasPassed, putOff } from "../../transaction/hooks.js"
import { innermostOf, type Part } from "../../transaction/part.js"
import { numberOf } from "../../values/numbers.js"
import { mark, markedId, marking, writing } from "../own.js"
import { type Message, messagesOf, stateOf, type Stored } from "./store.js"

/** A message that is to be written. */
export interface Outgoing {
  readonly id: string
  readonly message: unknown
  readonly publishedAt: Date
}

/** What was published in a run of a transaction, and is not written yet. */
interface Batch {
  /** The runs before it under manual control, by which it is known when a new one has begun. */
  readonly past: Attempt["past"]
  readonly parts: Set<Part>
  messages: Array<{ readonly part: Part; readonly outgoing: Outgoing }>
}

/** What is published in an outbox, by the transaction that it is a part of. */
export class Publishing<A, R, C> {
  readonly #stored: Stored<A, R, C>
  readonly #batches = new WeakMap<Attempt, Batch>()

  constructor(stored: Stored<A, R, C>) {
    this.#stored = stored
  }

  /** Puts messages down to be written when the transaction of a fiber is about to be committed. */
  add(fiber: RunningFiber, outgoing: ReadonlyArray<Outgoing>): Effect.Effect<void, TransactionEnded> {
    const part = innermostOf(fiber)
    // The type asks for a transaction.
    if (part === undefined) return Effect.dieMessage("there is no transaction to publish in")
    if (hasPassed(part, "beforeCommit")) return Effect.fail(new TransactionEnded({ operation: "publish" }))
    const { messages, parts } = this.#batchOf(part.of)
    // One for each part, for what a part that has failed was to do before the commit is not done.
    if (!parts.has(part)) {
      parts.add(part)
      putOff(fiber, part, "beforeCommit", this.#write(part.of))
    }
    // Not all as the arguments of one call, of which there must not be too many.
    for (const one of outgoing) messages.push({ part, outgoing: one })
    return Effect.void
  }

  #batchOf(attempt: Attempt): Batch {
    const known = this.#batches.get(attempt)
    if (known !== undefined && known.past === attempt.past) return known
    const batch: Batch = { past: attempt.past, parts: new Set(), messages: [] }
    this.#batches.set(attempt, batch)
    return batch
  }

  // The first of the parts writes for all of them.
  #write(attempt: Attempt): Effect.Effect<void, OperationError | MongoError, C> {
    return Effect.suspend(() => {
      const { messages } = this.#batchOf(attempt)
      const valid = messages.filter(({ part }) => !part.hasFailed)
      // Not before: who is interrupted may go on. What is published after this, by what else is put off, is written after that.
      const written = () => void this.#batches.delete(attempt)
      return valid.length === 0
        ? Effect.sync(written)
        : Effect.map(write(this.#stored, valid.map(({ outgoing }) => outgoing)), written)
    })
  }
}

const write = <A, R, C>(
  stored: Stored<A, R, C>,
  outgoing: ReadonlyArray<Outgoing>
): Effect.Effect<unknown, OperationError, C> =>
  stored.isNumbered
    ? Effect.flatMap(lastNumber(stored, outgoing.length), (last) =>
      insert(stored, outgoing, (index) => ({ sequence: last - outgoing.length + 1 + index })))
    : insert(stored, outgoing, () => ({}))

const insert = <A, R, C>(
  { messages }: Stored<A, R, C>,
  outgoing: ReadonlyArray<Outgoing>,
  more: (index: number) => Partial<Message>
): Effect.Effect<unknown, OperationError, C> => {
  const [first, ...others] = outgoing.map(({ id, message, publishedAt }, index): Message => ({
    _id: markedId(id),
    at: serverTime(),
    ...more(index),
    publishedAt,
    [mark]: 1,
    message
  }))
  if (first === undefined) return Effect.void
  // Most transactions publish one message, for which the driver's bulk is a detour.
  return others.length === 0
    ? operation(messages, writing("insertOne"), (db, added) => messagesOf(db, messages).insertOne(first, { ...added }))
    : operation(
      messages,
      writing("insertMany"),
      (db, added) => messagesOf(db, messages).insertMany([first, ...others], { ...added })
    )
}

// Until the commit nobody else gets a number.
const lastNumber = <A, R, C>(
  { name, state }: Stored<A, R, C>,
  count: number
): Effect.Effect<number, OperationError, C> =>
  Effect.map(
    operation(state, writing("findOneAndUpdate"), (db, added) =>
      stateOf(db, state).findOneAndUpdate(
        { _id: name },
        { $inc: { last: count, ...marking } },
        { ...added, upsert: true, returnDocument: "after" }
      )),
    (sequence) => numberOf(sequence?.["last"])
  )
