/**
 * Cursors and change streams that a test reads step by step.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import * as ChangeStream from "../../../src/ChangeStream.js"
import * as MongoClient from "../../../src/MongoClient.js"
import type { Client, CursorEntity, Entity, Failure, SessionEntity } from "../entities.js"
import { placed } from "./call.js"
import { typed } from "./collection.js"
import { cursorOf } from "./database.js"

type Rows = Stream.Stream<unknown, Failure, MongoClient.MongoClient>

/** What opens a cursor: a stream of its documents, of which the first pull opens it, or one that is open. */
type Opening =
  | { readonly _tag: "byPull"; readonly rows: Rows }
  | { readonly _tag: "byItself"; readonly rows: Effect.Effect<Rows, Failure, MongoClient.MongoClient | Scope.Scope> }

/** The operations that open a cursor for others to read. */
export const openingOf = (name: string, entity: Entity, args: Driver.Document): Opening | undefined => {
  const { filter, maxAwaitTimeMS, pipeline, ...rest } = args
  const options = name === "createChangeStream"
    ? { ...rest, maxAwaitTime: maxAwaitTimeMS }
    : { ...rest, maxAwaitTimeMS }
  switch (`${entity._tag} ${name}`) {
    case "collection createFindCursor":
      return entity._tag === "collection" ? byPull(entity.collection.find(filter, typed(options))) : undefined
    case "database createCommandCursor":
      return entity._tag === "database" ? byPull(cursorOf(entity.database, args)) : undefined
    case "collection createChangeStream":
      return entity._tag === "collection" ? changes(entity.collection.watch(pipeline, watching(options))) : undefined
    case "database createChangeStream":
      return entity._tag === "database" ? changes(entity.database.watch(pipeline, watching(options))) : undefined
    case "client createChangeStream":
      return changes(MongoClient.watch(pipeline, watching(options)))
    default:
      return undefined
  }
}

const byPull = (rows: Rows): Opening => ({ _tag: "byPull", rows })

// The specification knows nothing of what the library leaves out of a stream by a stage of its own.
const watching = (options: Driver.Document): Driver.Document => ({ ...options, showOwn: true })

const changes = (
  stream: ChangeStream.ChangeStream<Driver.Document, Failure, MongoClient.MongoClient>
): Opening => ({
  _tag: "byItself",
  rows: Effect.map(ChangeStream.opened(stream), (events) => Stream.map(events, documentOf))
})

// The library's event in the form in which the server tells it. What it has no field for is in the event as it came.
const documentOf = (event: ChangeStream.Event<Driver.Document>): Driver.Document => {
  if (event._tag === "Other") return event.document
  const { _tag: operationType, clusterTime, document, resumeToken, transaction, wallTime, ...rest } = event
  const { namespace, to, unavailable, updateDescription, ...fields } = {
    namespace: undefined,
    to: undefined,
    unavailable: [],
    updateDescription: undefined,
    ...rest
  }
  return present({
    ...document,
    _id: resumeToken.document,
    operationType,
    clusterTime,
    wallTime,
    ...Option.getOrElse(transaction, () => ({})),
    ns: namespace && ns(namespace, document["ns"]),
    to: to && ns(to, document["to"]),
    updateDescription: updateDescription && present(updateDescription),
    ...fields,
    ...Object.fromEntries(unavailable.map((field) => [field, null]))
  })
}

// What the event did not say, the library knows from what is watched.
const ns = (of: { readonly database: string; readonly collection?: string }, told: unknown): Driver.Document => {
  const found = Object(told)
  const names = Object.entries(present({ db: of.database, coll: of.collection }))
  return { ...found, ...Object.fromEntries(names.filter(([name]) => name in found)) }
}

const present = (fields: object): Driver.Document =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([key, value]) => {
      const found: unknown = Option.isOption(value) ? Option.getOrUndefined(value) : value
      return found === undefined ? [] : [[key, found]]
    })
  )

/** Opens a cursor: its first command is sent. */
export const open = (
  opening: Opening,
  client: Client,
  session: SessionEntity | undefined
): Effect.Effect<CursorEntity, Failure> =>
  Effect.gen(function*() {
    const scope = yield* Scope.fork(client.scope, ExecutionStrategy.sequential)
    const here = <A, E>(effect: Effect.Effect<A, E, MongoClient.MongoClient | Scope.Scope>) =>
      placed(Scope.extend(effect, scope), client, session)
    const rows = opening._tag === "byPull" ? opening.rows : yield* here(opening.rows)
    const start = Effect.map(here(Stream.toPull(rows)), (pull) => placed(pull, client, session))
    let step = yield* start
    const cursor: CursorEntity = {
      _tag: "cursor",
      pull: Effect.suspend(() => step).pipe(
        // A stream that was opened goes on after a time-out when it is run again.
        opening._tag === "byPull"
          ? identity
          : Effect.tapError(() => Effect.map(start, (again) => void (step = again))),
        Effect.mapBoth({
          onFailure: (failure) => Option.isOption(failure) ? failure : Option.some(failure),
          onSuccess: Chunk.toReadonlyArray
        })
      ),
      buffer: [],
      scope
    }
    if (opening._tag === "byPull") {
      yield* Effect.catchAll(fill(cursor), Option.match({ onNone: () => Effect.void, onSome: Effect.fail }))
    }
    return cursor
  })

const fill = (cursor: CursorEntity): Effect.Effect<void, Option.Option<Failure>> =>
  Effect.map(cursor.pull, (batch) => void cursor.buffer.push(...batch))

/** The next document; fails with nothing where there is none, or will be none. */
const next = (cursor: CursorEntity): Effect.Effect<unknown, Option.Option<Failure>> =>
  Effect.suspend(() =>
    cursor.buffer.length > 0
      ? Effect.sync(() => cursor.buffer.shift())
      : Effect.zipRight(fill(cursor), Effect.sync(() => cursor.buffer.shift()))
  )

const orNothing = Effect.catchAll(
  Option.match({ onNone: () => Effect.succeed(undefined), onSome: (failure: Failure) => Effect.fail(failure) })
)

/** The operations of a cursor. */
export const cursorOperations: Readonly<Record<string, (cursor: CursorEntity) => Effect.Effect<unknown, Failure>>> = {
  close: ({ scope }) => Scope.close(scope, Exit.void),
  iterateOnce: (cursor) => orNothing(next(cursor)),
  iterateUntilDocumentOrError: (cursor) =>
    orNothing(Effect.repeat(next(cursor), { until: (document) => document !== undefined }))
}
