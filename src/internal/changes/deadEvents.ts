/**
 * Events of consumers that were set aside, since they could not be handled.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import type { Event } from "../../ChangeEvent.js"
import type { HandlingFailed } from "../../ChangeStreamErrors.js"
import type { DecodeFailed, OperationError, SessionMisconfigured, TransactionError } from "../../SessionErrors.js"
import * as Transaction from "../../Transaction.js"
import { batches } from "../data/cursor.js"
import { operation } from "../data/operation.js"
import type { Target } from "../data/request.js"
import { isTooLarge } from "../data/values.js"
import { losslessly } from "../driver/readOptions.js"
import type { Inside } from "../transaction/start.js"
import { newId } from "./checkpoint.js"
import { ensureName } from "./consumeOptions.js"
import { idIn, mark, markedId, writing } from "./own.js"
import { Held } from "./place.js"
import { textOf } from "./poison.js"
import type { Source } from "./source.js"

/**
 * An event that was set aside.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadEvent {
  /** What {@link DeadEvents} call it by. */
  readonly id: string
  /**
   * The event as it came, with a `BSONRegExp` for each regular expression: it may be that its documents do not fit the schema.
   * Of one that is too large to be kept, only what it was about, and `isTooLarge`.
   */
  readonly document: Driver.Document
  /** How often its handling has failed. */
  readonly attempts: number
  /** What it has failed with at last, as a text. */
  readonly error: string
  /** When it was set aside, by the consumer's clock. */
  readonly setAsideAt: Date
}

/**
 * The events that a consumer has set aside.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadEvents<A, R> {
  /** Those that there are, the oldest first. */
  readonly list: Stream.Stream<DeadEvent, OperationError | SessionMisconfigured, R>
  /**
   * Handles one now, in a transaction in which it is dropped: so it takes effect once. Says whether there is one of this id.
   * What came after it has been handled before. Where the event does not fit the schema of the stream, it fails with
   * `DecodeFailed`, also with `onInvalid: "skip"`: what was set aside is dropped only when it was handled.
   */
  readonly retry: <X, E2, R2>(
    id: string,
    handler: (event: Event<A>) => Effect.Effect<X, E2, R2>
  ) => Effect.Effect<boolean, E2 | DecodeFailed | OperationError | TransactionError, R | Inside<R2>>
  /** Drops one for good. Says whether there was one of this id. */
  readonly drop: (id: string) => Effect.Effect<boolean, OperationError | SessionMisconfigured, R>
}

interface Stored extends Driver.Document {
  readonly _id: string
  readonly consumer: string
  readonly event: Driver.Document
  readonly attempts: unknown
  readonly error: string
  readonly setAsideAt: Date
}

/** What a consumer of a stream has set aside. */
export const of = <A, E, R>(
  { client, decode }: Source<A, E, R>,
  consumer: string,
  deadLetters: Omit<Target, "client">,
  read: Either.Either<unknown, SessionMisconfigured>
): DeadEvents<A, R> => {
  const target: Target<Held> = { ...deadLetters, client: Held }
  const valid = Effect.zipRight(Either.flatMap(read, () => ensureName(consumer)), client)
  const here = <B, E2, R2>(effect: Effect.Effect<B, E2, R2>) =>
    Effect.flatMap(valid, (held) => Effect.provideService(effect, Held, held))
  const remove = (id: string) =>
    operation(
      target,
      writing("findOneAndDelete"),
      (db, added) => lettersOf(db, target).findOneAndDelete({ _id: markedId(id), consumer }, { ...added })
    )
  return {
    drop: (id) => here(Effect.map(remove(id), (found) => found !== null)),
    list: Stream.unwrap(
      Effect.map(
        valid,
        (held) =>
          batches(
            target,
            { name: "find", kind: "read" },
            (db, added) =>
              lettersOf(db, target).find({ consumer }, { ...added, sort: { setAsideAt: 1 }, allowDiskUse: true })
          ).pipe(
            Stream.map(({ _id, attempts, error, event, setAsideAt }): DeadEvent => ({
              id: idIn(_id),
              document: event,
              attempts: Number(attempts),
              error,
              setAsideAt
            })),
            Stream.provideService(Held, held)
          )
      )
    ),
    retry: (id, handler) =>
      here(Transaction.run(
        Effect.gen(function*() {
          const found = yield* remove(id)
          if (found === null) return false
          yield* handler(yield* decode(found.event))
          return true
        }),
        { client: Held, readPreference: "primary" }
      ))
  }
}

/** Puts an event among the dead letters. */
export const setAside = <C>(
  target: Target<C>,
  { document, resumeToken }: Event<unknown>,
  { attempts, cause, of }: HandlingFailed
): Effect.Effect<void, OperationError, C> =>
  Effect.gen(function*() {
    const _id = markedId(yield* newId)
    const setAsideAt = new Date(yield* Clock.currentTimeMillis)
    const letter = (event: Driver.Document): Stored => ({
      _id,
      [mark]: 1,
      consumer: of,
      token: resumeToken.toString(),
      event,
      attempts,
      error: textOf(cause),
      setAsideAt
    })
    const whole = letter(document)
    // An event may be nearly as large as the server's largest document. Of one that does not fit it is kept what it was about.
    const { _id: token, clusterTime, documentKey, ns, operationType } = document
    const given = isTooLarge(whole)
      ? letter({ _id: token, operationType, clusterTime, ns, documentKey, isTooLarge: true })
      : whole
    yield* operation(
      target,
      writing("insertOne"),
      (db, added) => lettersOf(db, target).insertOne(given, { ...added })
    )
  })

const lettersOf = <C>(db: Driver.Db, { collection = "" }: Target<C>): Driver.Collection<Stored> =>
  db.collection(collection, losslessly)
