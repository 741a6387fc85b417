/**
 * Delivers the messages of an outbox in their order, and notes how far it has come.
 */
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { HandlingFailed } from "../../../ChangeStreamErrors.js"
import type { MongoError } from "../../../MongoError.js"
import * as Session from "../../../Session.js"
import type { RelayError } from "../../../SessionErrors.js"
import { operation } from "../../data/operation.js"
import { grace, within } from "../../time/bounded.js"
import { givenIn, issuesIn, readable, refusalOf } from "../../values/options.js"
import * as Checkpoints from "../checkpoint.js"
import { openApart } from "../place.js"
import type { PoisonOptions } from "../poison.js"
import { backoff as resuming, type Position } from "../position.js"
import { deliverAll } from "./batch.js"
import { delivering } from "./failures.js"
import { Idle } from "./idle.js"
import { ensureValid } from "./options.js"
import * as Order from "./order.js"
import { decode, deliveredIn, type Delivery, messagesOf, relayOf, type Stored } from "./store.js"

/**
 * How to relay.
 *
 * @since 0.1.0
 * @category options
 */
export interface RelayOptions<A = never> extends PoisonOptions {
  /**
   * How many messages are noted as delivered at once, at most: so many may be delivered again after a crash. It never waits
   * for more messages than there are, and while they take long, it notes them each second. Default 100.
   */
  readonly batch?: number | undefined
  /**
   * How many messages are delivered at once, at most. With more than one they are begun in their order, and may overtake one
   * another; see `orderBy`. Default 1.
   */
  readonly concurrency?: number | undefined
  /**
   * Of which messages the order matters: those of one key are delivered one after the other. Keys are the same that a `Map`
   * takes for the same. Default: of none, with a `concurrency` of more than 1.
   */
  readonly orderBy?: ((delivery: Delivery<A>) => unknown) | undefined
  /**
   * When to look for messages after all have been delivered; begun anew after each delivery; its input is how many were
   * delivered since the last look. When it ends, the relay ends. Default: none, the server tells of new messages at once.
   */
  readonly poll?: Schedule.Schedule<unknown, number> | undefined
  /** When to resume the change stream. Default: as `ChangeStream` does. */
  readonly resume?: Schedule.Schedule<unknown, MongoError> | undefined
}

/** Delivers what there is, and what comes; gives each message when it was delivered, and that is noted. */
export const relay = <A, R, C, X, E2, R2>(
  outbox: Stored<A, R, C>,
  deliver: (delivery: Delivery<A>) => Effect.Effect<X, E2, R2>,
  given: RelayOptions<A> | undefined
): Stream.Stream<Delivery<A>, HandlingFailed<E2> | RelayError, R | R2 | C> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const read = readable(given)
    const options = givenIn(read)
    yield* refusalOf([outbox.valid, read, ensureValid(options)].flatMap(issuesIn)) ?? Effect.void
    const { batch = 100, concurrency = 1, onPoison, orderBy, poll, resume = resuming } = options
    const { messages, name, state } = outbox
    const session = yield* openApart(messages, { name: "relay", kind: "read", inTransaction: false })
    const own = <B, E, R3>(effect: Effect.Effect<B, E, R3>) => Effect.provideService(effect, Session.Session, session)
    const { checkpoint, stored } = yield* own(Checkpoints.claim(state, relayOf(name), session.id))
    const place = yield* Checkpoints.positionOf(stored, `relay of outbox ${name}`)

    const remove = (ids: ReadonlyArray<string>) =>
      Effect.when(
        own(Checkpoints.patiently(operation(
          messages,
          { name: "deleteMany", kind: "write", inTransaction: false },
          (db, added) =>
            messagesOf(db, messages).deleteMany(
              { _id: { $in: ids.slice() } },
              { ...added, writeConcern: { w: "majority" } }
            )
        ))),
        () => ids.length > 0
      )
    // First the note and then the removal: what lies between, the next one does.
    const note = (ids: ReadonlyArray<string>, position: Position | undefined) =>
      own(Checkpoints.storeAlone(checkpoint, {
        ...(position !== undefined && Checkpoints.toStored(position)),
        delivered: ids.slice()
      }))
    yield* remove(deliveredIn(stored))

    const idle = new Idle({ outbox, session, poll, note: (position) => note([], position) })
    const one = delivering({ outbox, checkpoint, options, own, deliver })

    // A batch: what was delivered of it, also when the next could not be.
    const group = (items: ReadonlyArray<Order.Item>, position: Position | undefined) =>
      Effect.gen(function*() {
        const _ids = items.map(({ _id }) => _id)
        const found = yield* Checkpoints.patiently(
          Order.read(
            { outbox, session },
            (collection, added) => collection.find({ _id: { $in: _ids } }, added).toArray()
          )
        )
        const byId = new Map(found.map((message) => [message._id, message]))
        // What is not there has been delivered before, or somebody has taken it out.
        const there = _ids.flatMap((_id) => byId.get(_id) ?? [])
        const delivered: Array<Delivery<A>> = []
        if (there.length === 0) return { delivered, failure: undefined }
        // Before anything is delivered: somebody else may deliver it already.
        yield* own(Checkpoints.storeAlone(checkpoint, {}))
        const done: Array<string> = []
        let notedCount = 0
        let unnoted: Cause.Cause<RelayError> | undefined
        const noted = Effect.suspend(() => {
          const { length } = done
          return length === notedCount
            ? Effect.void
            : Effect.map(note(done, undefined), () => void (notedCount = length))
        })
        // However long a delivery takes, what came before it is noted meanwhile.
        const noting = Effect.forever(Effect.delay(noted, noteInterval)).pipe(
          Effect.catchAllCause((cause) => Effect.sync(() => void (unnoted = cause)))
        )
        const all = deliverAll(there, {
          concurrency,
          orderBy,
          decode: (message) => decode(outbox, message),
          deliver: one,
          over: ({ _id }, delivery) =>
            Effect.suspend(() => {
              // What was set aside is not in the outbox any more, and may come back.
              if (Option.isSome(delivery) || onPoison === "skip") done.push(_id)
              if (Option.isSome(delivery)) delivered.push(delivery.value)
              return unnoted === undefined ? Effect.void : Effect.failCause(unnoted)
            })
        })
        const exit = yield* Effect.acquireUseRelease(
          Effect.fork(Effect.interruptible(noting)),
          () => all,
          Fiber.interrupt
        ).pipe(
          // Nothing can be interrupted there: a time-out would wait for what is late.
          Effect.onInterrupt(() => within(grace, Effect.ignore(noted))),
          Effect.exit
        )
        yield* note(done, exit._tag === "Success" ? position : undefined)
        yield* remove(done)
        idle.busy(delivered.length)
        return { delivered, failure: exit._tag === "Success" ? undefined : exit.cause }
      })

    const deliveries = (next: Order.Next): Stream.Stream<
      Delivery<A>,
      HandlingFailed<E2> | RelayError,
      R | R2 | C
    > =>
      Stream.fromIterable(groupsOf(next, batch)).pipe(
        Stream.mapEffect(({ items, position }) => group(items, position)),
        Stream.flatMap(({ delivered, failure }) =>
          failure === undefined
            ? Stream.fromIterable(delivered)
            : Stream.concat(Stream.fromIterable(delivered), Stream.failCause(failure))
        )
      )

    return Order.from({
      outbox,
      session,
      checkpoint,
      resume,
      maxAwaitTime: poll === undefined ? Duration.seconds(1) : Duration.millis(10)
    }, place).pipe(
      Stream.mapEffect((next) => next.items.length > 0 ? Effect.succeedSome(next) : idle.nothing(next.position)),
      Stream.takeWhile(Option.isSome),
      Stream.flatMap(({ value }) => deliveries(value)),
      Stream.catchAll((error) => Stream.fromEffect(Checkpoints.explained(checkpoint, error)))
    )
  }))

// In milliseconds.
const noteInterval = 1000

const groupsOf = ({ items, position }: Order.Next, batch: number): ReadonlyArray<Order.Next> =>
  Array.from({ length: Math.ceil(items.length / batch) }, (_, index) => {
    const group = items.slice(index * batch, (index + 1) * batch)
    const isLast = (index + 1) * batch >= items.length
    return { items: group, position: isLast ? position : group.at(-1)?.position }
  })
