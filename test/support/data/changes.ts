/**
 * Change streams that are followed by a fiber of their own while a test goes on.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Event } from "../../../src/ChangeStream.js"
import * as ChangeStream from "../../../src/ChangeStream.js"
import { raw } from "../../../src/Codec.js"
import * as TestServer from "../server/testServer.js"
import * as Monitor from "../watch/monitor.js"

/** A stream that is being followed. */
export interface Followed<A, E> {
  /** What it has given so far. */
  readonly given: Effect.Effect<ReadonlyArray<A>>
  /** Waits until it has given so many. */
  readonly until: (count: number) => Effect.Effect<ReadonlyArray<A>>
  readonly fiber: Fiber.RuntimeFiber<void, E>
}

/** Follows a change stream until the scope closes; the server has opened it when this is done. */
export const follow = <A, E, R>(
  { monitor }: Pick<Monitor.Watched, "monitor">,
  stream: Stream.Stream<A, E, R>
): Effect.Effect<Followed<A, E>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    const given: Array<A> = []
    const opened = (yield* monitor.named("getMore")).length
    const fiber = yield* Effect.forkScoped(
      Stream.runForEach(stream, (one) => Effect.sync(() => void given.push(one)))
    )
    const list = Effect.sync(() => given.slice())
    const isOver = Effect.map(Fiber.poll(fiber), Option.isSome)
    // The first getMore is sent when the cursor is there; a stream that fails sends none.
    yield* Monitor.until(
      Effect.zip(isOver, monitor.named("getMore")),
      ([over, { length }]) => over || length > opened
    )
    return {
      given: list,
      until: (count) => Monitor.until(list, ({ length }) => length >= count, "30 seconds"),
      fiber
    }
  })

/** The `_id` of the document that an event is about. */
export const idOf = (event: Event<unknown>): unknown => "documentKey" in event ? event.documentKey["_id"] : undefined

/** What kinds of changes events are of, and the `_id`s of their documents. */
export const told = (events: ReadonlyArray<Event<unknown>>): ReadonlyArray<string> =>
  events.map((event) => idOf(event) === undefined ? event._tag : `${event._tag} ${String(idOf(event))}`)

/** A document of {@link changing}. */
export interface Numbered {
  readonly _id: number
  readonly n?: unknown
}

/** A collection that is there, and empty, and the stream of its changes. */
export const changing = ({ client, monitor }: Monitor.Watched) =>
  Effect.gen(function*() {
    const database = yield* TestServer.database
    const db = client.driver.db(database)
    yield* Effect.promise(() => db.createCollection("things"))
    yield* monitor.clear
    const collection = db.collection<Numbered>("things")
    const put = (...ids: ReadonlyArray<number>) =>
      Effect.asVoid(Effect.promise(() => collection.insertMany(ids.map((_id) => ({ _id, n: String(_id) })))))
    const target = { database, collection: "things" }
    return { database, db, collection, put, target, changes: ChangeStream.watch(target, raw) }
  })
