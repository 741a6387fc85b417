/**
 * Consumes a change stream: what is done for an event, and the note that it is done, are one transaction.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import type { Event } from "../../ChangeEvent.js"
import type { HandlingFailed } from "../../ChangeStreamErrors.js"
import type { MongoError } from "../../MongoError.js"
import * as Session from "../../Session.js"
import type { ConsumeError } from "../../SessionErrors.js"
import type { Target } from "../data/request.js"
import { inner } from "../session/client.js"
import * as Log from "../telemetry/log.js"
import type { Inside } from "../transaction/start.js"
import { givenIn, issuesIn, readable, refusalOf } from "../values/options.js"
import * as Checkpoints from "./checkpoint.js"
import {
  type ConsumeOptions,
  defaultCheckpoints,
  defaultDeadLetters,
  ensureName,
  ensureValid
} from "./consumeOptions.js"
import { type Step, steps } from "./follow.js"
import { handling } from "./handler.js"
import { surviving } from "./lost.js"
import { withoutOwn } from "./own.js"
import { Held, inherited, openApart, openness } from "./place.js"
import { isPlace, type Position } from "./position.js"
import type { Source } from "./source.js"

/** Consumes a stream until it ends. */
export const consume = <A, E, R, X, E2, R2, E3, R3>(
  source: Source<A, E, R>,
  name: string,
  handler: (event: Event<A>) => Effect.Effect<X, E2, R2>,
  given: ConsumeOptions<E3, R3> | undefined
): Effect.Effect<void, E | E3 | HandlingFailed<E2> | ConsumeError, R | Exclude<R3, Session.Session> | Inside<R2>> =>
  Effect.flatMap(source.client, (client) => {
    const read = readable(given)
    const options = givenIn(read)
    const refusal = refusalOf([ensureName(name), read, ensureValid(options)].flatMap(issuesIn)) ??
      source.refusal(client)
    return refusal === undefined
      ? Effect.provideService(Stream.runForEach(handled(source, name, handler, options), identity), Held, client)
      : Effect.fail(refusal)
  })

// Each step of the stream as the effect that handles it.
const handled = <A, E, R, X, E2, R2, E3, R3>(
  source: Source<A, E, R>,
  name: string,
  handler: (event: Event<A>) => Effect.Effect<X, E2, R2>,
  options: ConsumeOptions<E3, R3>
) =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const { batch = 1, collection = defaultCheckpoints, idleCheckpoint = "1 minute", onLost = "fail" } = options
    const { deadLetterCollection = defaultDeadLetters, onPoison, retry, transaction } = options
    const ambient = yield* Session.current({ client: Held })
    const database = options.database ?? source.watched.database
    const target = { client: Held, database, collection }
    // Nothing else is done in it. So while the stream waits, it keeps nothing waiting; and nobody else has a transaction
    // there, with which it would be lost what is done for an event.
    const session = yield* openApart(
      target,
      { name: "watch", kind: "read", inTransaction: false },
      inherited(ambient)
    )
    const ensureOpen = openness(ambient, "consume")
    const { checkpoint, stored } = yield* Effect.provideService(
      Checkpoints.claim(target, name, session.id),
      Session.Session,
      session
    )
    const place = yield* Checkpoints.positionOf(stored, `checkpoint of ${name}`)
    let isPlaced = place !== undefined
    let storedAt = yield* Clock.currentTimeMillis

    const storeAlone = (fields: Driver.Document) =>
      Effect.provideService(Checkpoints.storeAlone(checkpoint, fields), Session.Session, session)
    yield* noteStream(checkpoint, stored["stream"], source.text(), storeAlone)
    const group = handling({
      checkpoint,
      stored,
      session,
      handler,
      transaction,
      deadLetters: { client: Held, database, collection: deadLetterCollection },
      onPoison,
      retry
    })

    const store = (position: Position) =>
      Effect.gen(function*() {
        if (!isPlace(position)) return
        yield* storeAlone(Checkpoints.toStored(position))
        isPlaced = true
        storedAt = yield* Clock.currentTimeMillis
      })

    const handle = ({ events, from, invalid, position }: Step<A>) =>
      Effect.gen(function*() {
        yield* ensureOpen
        // Whoever is started after a crash must not begin later than the one that crashed before its first event.
        if (!isPlaced) yield* store(from)
        for (let index = 0; index < events.length; index += batch) {
          yield* group({ events: events.slice(index, index + batch), invalid })
          storedAt = yield* Clock.currentTimeMillis
        }
        const idle = (yield* Clock.currentTimeMillis) - storedAt
        if (events.length === 0 && idle >= Duration.toMillis(idleCheckpoint)) yield* store(position)
      })

    const leading = source.watched.collection === undefined
      ? [notOf(yield* nameOf(target), collection)]
      : source.watched.collection === collection
      ? [withoutOwn]
      : []
    const context = yield* Effect.context<Held>()
    const mayResume = (error: MongoError) =>
      Effect.provide(Effect.negate(Checkpoints.wasReplaced(checkpoint, error)), context)
    const followed = (at: Position) => steps(source.pulled(at, leading, { session, mayResume, tellsInvalid: true }))
    return surviving(followed, place ?? source.at, { checkpoint, onLost, session }).pipe(
      Stream.catchAll((error) => Stream.fromEffect(Checkpoints.explained(checkpoint, error))),
      Stream.map((step) => Effect.catchAll(handle(step), (error) => Checkpoints.explained(checkpoint, error)))
    )
  }))

// A place in one stream may be none in another; and what another pipeline has left out before is not told any more.
const noteStream = <E>(
  { name }: Checkpoints.Checkpoint<Held>,
  before: unknown,
  stream: string,
  store: (fields: Driver.Document) => Effect.Effect<void, E, Held>
): Effect.Effect<void, E, Held> =>
  before === stream
    ? Effect.void
    : Effect.zipRight(
      before === undefined ? Effect.void : Log.streamChanged(name),
      store({ stream })
    )

const nameOf = ({ client, database }: Target<Held>) =>
  Effect.map(client ?? Held, (service) => service[inner].databaseName(database))

// The checkpoint of an event would else be an event, and so on for ever.
const notOf = (database: string, collection: string): Driver.Document => ({
  $match: { $nor: [{ "ns.db": database, "ns.coll": collection }] }
})
