/**
 * What becomes of a message that cannot be delivered.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { HandlingFailed } from "../../../ChangeStreamErrors.js"
import type { ConsumerReplaced, DecodeFailed, OperationError, TransactionError } from "../../../SessionErrors.js"
import { operation } from "../../data/operation.js"
import type { Request } from "../../data/request.js"
import { numberOf } from "../../values/numbers.js"
import { type Checkpoint, majority, patiently, storeAlone } from "../checkpoint.js"
import { idIn, marking } from "../own.js"
import * as Poison from "../poison.js"
import { setAside } from "./deadLetters.js"
import { type Delivery, type Message, messagesOf, sequenceOf, type Stored } from "./store.js"

/** How a message is delivered, and what becomes of it where it cannot be. */
export const delivering = <A, R, C, X, E2, R2>({ checkpoint, deliver, options, outbox, own }: {
  readonly outbox: Stored<A, R, C>
  readonly checkpoint: Checkpoint<C>
  readonly options: Poison.PoisonOptions
  readonly deliver: (delivery: Delivery<A>) => Effect.Effect<X, E2, R2>
  /** Runs an operation in the session of the relay. */
  readonly own: <B, E, R3>(effect: Effect.Effect<B, E, R3>) => Effect.Effect<B, E, R3>
}) =>
(
  message: Message,
  delivery: Effect.Effect<Delivery<A>, DecodeFailed>
): Effect.Effect<
  Option.Option<Delivery<A>>,
  HandlingFailed<E2> | OperationError | TransactionError | ConsumerReplaced,
  R2 | C
> => {
  const counted = counting(outbox, message)
  return Poison.handle(
    Effect.flatMap(delivery, (decoded) => Effect.as(deliver(decoded), decoded)),
    {
      ...options,
      count: (cause) =>
        Effect.map(
          // Whoever has been replaced meanwhile has nothing to say of the message: another one may have delivered it.
          own(Effect.zipRight(storeAlone(checkpoint, {}), counted)),
          Option.map((attempts) =>
            new HandlingFailed<E2>({
              kind: "outbox",
              of: outbox.name,
              id: idIn(message._id),
              sequence: Option.getOrUndefined(sequenceOf(message.sequence)),
              attempts,
              cause: Cause.squash(cause)
            })
          )
        ),
      setAside: (failure) => own(setAside(outbox, checkpoint, message, failure))
    }
  )
}

// Counts a failure of a message each time that it is run. With the message, so that whoever is started next knows of it; none if it
// was taken out of the outbox. The number is stored, not added: where its answers are lost, that is repeated.
const counting = <A, R, C>(
  { messages }: Stored<A, R, C>,
  { _id, attempts }: Message
): Effect.Effect<Option.Option<number>, OperationError, C> => {
  let known = numberOf(attempts)
  return Effect.map(
    patiently(operation(messages, writing, (db, added) =>
      messagesOf(db, messages).findOneAndUpdate(
        { _id },
        { $max: { attempts: known + 1 }, $inc: marking },
        { ...added, ...majority, returnDocument: "after", projection: { attempts: 1 } }
      ))),
    (found) =>
      Option.map(Option.fromNullable(found), ({ attempts }) => {
        known = numberOf(attempts)
        return known
      })
  )
}

const writing: Request = { name: "findOneAndUpdate", kind: "write", inTransaction: false }
