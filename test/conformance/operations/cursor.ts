/**
 * Cursors and change streams that a test reads step by step.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import type * as ChangeStream from "../../../src/ChangeStream.js"
import * as MongoClient from "../../../src/MongoClient.js"
import type { Client, CursorEntity, Entity, Failure, SessionEntity } from "../entities.js"
import { placed } from "./call.js"
import { typed } from "./collection.js"
import { cursorOf } from "./database.js"

type Rows = Stream.Stream<unknown, Failure, MongoClient.MongoClient>

/** The operations that open a cursor for others to read. */
export const streamOf = (name: string, entity: Entity, args: Driver.Document): Rows | undefined => {
  const { filter, maxAwaitTimeMS, pipeline, ...rest } = args
  const options = name === "createChangeStream"
    ? { ...rest, maxAwaitTime: maxAwaitTimeMS }
    : { ...rest, maxAwaitTimeMS }
  switch (`${entity._tag} ${name}`) {
    case "collection createFindCursor":
      return entity._tag === "collection" ? entity.collection.find(filter, typed(options)) : undefined
    case "database createCommandCursor":
      return entity._tag === "database" ? cursorOf(entity.database, args) : undefined
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

// The specification knows nothing of what the library leaves out of a stream by a stage of its own.
const watching = (options: Driver.Document): Driver.Document => ({ ...options, showOwn: true })

const changes = <E, R>(stream: ChangeStream.ChangeStream<Driver.Document, E, R>): Stream.Stream<unknown, E, R> =>
  Stream.map(stream, documentOf)

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
  rows: Rows,
  client: Client,
  session: SessionEntity | undefined
): Effect.Effect<CursorEntity, Failure> =>
  Effect.gen(function*() {
    const scope = yield* Scope.fork(client.scope, ExecutionStrategy.sequential)
    const pull = yield* placed(Scope.extend(Stream.toPull(rows), scope), client, session)
    const step = placed(pull, client, session)
    const cursor: CursorEntity = {
      _tag: "cursor",
      pull: Effect.mapBoth(step, {
        onFailure: (failure) => Option.isOption(failure) ? failure : Option.some(failure),
        onSuccess: Chunk.toReadonlyArray
      }),
      buffer: [],
      scope
    }
    yield* Effect.catchAll(fill(cursor), Option.match({ onNone: () => Effect.void, onSome: Effect.fail }))
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
