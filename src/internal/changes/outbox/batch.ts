/**
 * Delivers a batch of messages: some at once, if that is asked for, but those of one key one after the other.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Option from "effect/Option"
import type { DecodeFailed } from "../../../SessionErrors.js"
import type { Delivery, Message } from "./store.js"

/** How messages are delivered. */
export interface Delivering<A, E, R, E2, R2, R3> {
  readonly concurrency: number
  readonly orderBy: ((delivery: Delivery<A>) => unknown) | undefined
  /** What is to be delivered, if it fits the schema. */
  readonly decode: (message: Message) => Effect.Effect<Delivery<A>, DecodeFailed, R3>
  /** Delivers one; none if it is left out. */
  readonly deliver: (
    message: Message,
    delivery: Effect.Effect<Delivery<A>, DecodeFailed>
  ) => Effect.Effect<Option.Option<Delivery<A>>, E, R>
  /** One is done with. */
  readonly over: (message: Message, delivered: Option.Option<Delivery<A>>) => Effect.Effect<void, E2, R2>
}

/**
 * Delivers messages. When one cannot be, those that are being delivered are brought to their end, but none is begun any more;
 * then it fails with what the first has failed with.
 */
export const deliverAll = <A, E, R, E2, R2, R3>(
  messages: ReadonlyArray<Message>,
  { concurrency, decode, deliver, orderBy, over }: Delivering<A, E, R, E2, R2, R3>
): Effect.Effect<void, E | E2, R | R2 | R3> =>
  Effect.gen(function*() {
    let failure: Cause.Cause<E | E2> | undefined
    const decoded = yield* Effect.forEach(messages, (message) =>
      Effect.map(Effect.either(decode(message)), (delivery): Item<A> => ({ message, delivery })))
    const one = ({ delivery, message }: Item<A>) =>
      Effect.suspend(() =>
        failure !== undefined
          ? Effect.void
          : deliver(message, delivery).pipe(
            Effect.flatMap((delivered) =>
              over(message, delivered)
            ),
            Effect.catchAllCause((cause) => Effect.sync(() => void (failure ??= cause)))
          )
      )
    yield* Effect.forEach(linesOf(decoded, concurrency, orderBy), (line) =>
      Effect.forEach(line, one, { discard: true }), {
      concurrency,
      discard: true
    })
    if (failure !== undefined) {
      return yield* Effect.failCause(failure)
    }
  })

interface Item<A> {
  readonly message: Message
  readonly delivery: Either.Either<Delivery<A>, DecodeFailed> | Effect.Effect<never>
}

// What waits for each other, in its order.
const linesOf = <A>(
  items: ReadonlyArray<Item<A>>,
  concurrency: number,
  orderBy: ((delivery: Delivery<A>) => unknown) | undefined
): Iterable<ReadonlyArray<Item<A>>> => {
  if (concurrency === 1) return [items]
  if (orderBy === undefined) return items.map((item) => [item])
  const lines = new Map<unknown, Array<Item<A>>>()
  for (const given of items) {
    const [key, item] = keyed(given, orderBy)
    const line = lines.get(key)
    if (line === undefined) lines.set(key, [item])
    else line.push(item)
  }
  return lines.values()
}

// Nobody knows the key of what does not fit the schema, nor of that for which the caller's function throws: it is not delivered.
const keyed = <A>(
  item: Item<A>,
  orderBy: (delivery: Delivery<A>) => unknown
): readonly [key: unknown, item: Item<A>] => {
  const { delivery } = item
  if (!Either.isEither(delivery) || Either.isLeft(delivery)) return [item, item]
  try {
    return [orderBy(delivery.right), item]
  } catch (defect) {
    return [item, { ...item, delivery: Effect.die(defect) }]
  }
}
