/**
 * Runs the operations of a test by the library's own API, and holds what comes of them against what the test expects.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Client, DatabaseEntity, Entity, Failure, SessionEntity } from "../entities.js"
import { ensureError } from "../errors.js"
import type { Operation } from "../format.js"
import { type Level, mismatch } from "../matching.js"
import { ofOperation } from "../options.js"
import { isDocument } from "../values.js"
import { ensure, ensureNone, Mismatch, Unsupported } from "../verdict.js"
import { type Handlers, placed, type World } from "./call.js"
import { collectionOperations, manyDocuments } from "./collection.js"
import * as Cursors from "./cursor.js"
import { clientOperations, databaseOperations } from "./database.js"
import { sessionOperations } from "./session.js"
import { runnerOperations } from "./testRunner.js"

export type { World } from "./call.js"

/**
 * Runs an operation, and dies where its result or failure is not as expected. It fails as the operation does, expected or
 * not: what is expected in the body of a transaction is to leave the body.
 */
export const run = (world: World, operation: Operation): Effect.Effect<void, Failure> => {
  const { arguments: args, expectError, ignoreResultAndError, name, object } = operation
  if (object === "testRunner") {
    return Effect.suspend(() => {
      const ofRunner = runnerOperations[name]
      if (ofRunner === undefined) throw new Unsupported(`the operation ${name} of the runner`)
      return ofRunner(world, args)
    })
  }
  const where = `${object}.${name}`
  return Effect.suspend(() => evaluate(world, operation)).pipe(
    Effect.either,
    Effect.flatMap((result) => {
      if (ignoreResultAndError) return Effect.void
      if (Either.isRight(result)) {
        ensure(expectError === undefined, `${where}: expected a failure`)
        return Effect.sync(() => keep(world, operation, result.right))
      }
      if (expectError !== undefined) located(where, () => ensureError(expectError, result.left, world.entities.names))
      return Effect.fail(result.left)
    })
  )
}

/** Runs the operations of a test, in order. */
export const runAll = (world: World, operations: ReadonlyArray<Operation>): Effect.Effect<void> =>
  Effect.forEach(operations, (operation) => {
    if (operation.object !== "testRunner") begins(world)
    return Effect.catchAll(run(world, operation), (failure) => {
      if (operation.expectError !== undefined) return Effect.void
      throw new Mismatch(`${operation.object}.${operation.name}: unexpected failure: ${tell(failure)}`)
    })
  }, { discard: true })

const begins = ({ entities }: World): void => {
  for (const entity of entities.all()) {
    if (entity._tag === "client") entity.recorder.begins()
  }
}

const tell = (failure: Failure): string =>
  "cause" in failure && failure.cause instanceof Error
    ? `${failure.message}: ${failure.cause.message}`
    : failure.message

const located = (where: string, check: () => void): void => {
  try {
    check()
  } catch (error) {
    throw error instanceof Mismatch ? new Mismatch(`${where}: ${error.message}`) : error
  }
}

const keep = ({ entities }: World, operation: Operation, result: unknown): void => {
  const { expectResult, name, object, saveResultAsEntity } = operation
  if (expectResult !== undefined) {
    ensureNone(mismatch(expectResult, result, entities.names, levelOf(name)), `result of ${object}.${name}`)
  }
  if (saveResultAsEntity !== undefined) {
    ensure(result !== undefined, `${object}.${name} gave nothing to be saved`)
    entities.add(saveResultAsEntity, isEntity(result) ? result : { _tag: "value", value: result })
  }
}

const isEntity = (result: unknown): result is Entity =>
  isDocument(result) && (result["_tag"] === "cursor" || result["_tag"] === "collection")

const collectionIn = ({ client, database }: DatabaseEntity, name: string): Entity => ({
  _tag: "collection",
  client,
  collection: database.collection(name)
})

const iterated = new Set([...manyDocuments, "listCollections", "listDatabases", "runCursorCommand"])

const levelOf = (name: string): Level => iterated.has(name) ? "roots" : name === "distinct" ? "nested" : "root"

const evaluate = (world: World, { arguments: given, name, object }: Operation): Effect.Effect<unknown, Failure> => {
  const { entities } = world
  const entity = entities.any(object)
  const { session: named, ...rest } = given
  const session = named === undefined ? undefined : entities.get("session", named)
  const on = <Target>(handlers: Handlers<Target>, target: Target, client: Client): Effect.Effect<unknown, Failure> => {
    const handler = handlers[name]
    if (handler === undefined) throw new Unsupported(`the operation ${name} of a ${entity._tag}`)
    // What a session is given, is a transaction's.
    if (entity._tag === "session") return placed(handler(target, rest), client, session)
    return placed(handler(target, ofOperation(rest)), client, session)
  }
  switch (entity._tag) {
    case "client":
      return name === "close"
        ? Scope.close(entity.scope, Exit.void)
        : opened(entity, name, rest, entity, session) ?? on(clientOperations, undefined, entity)
    case "database": {
      const result = opened(entity, name, rest, entity.client, session) ??
        on(databaseOperations, entity.database, entity.client)
      return name === "createCollection" ? Effect.as(result, collectionIn(entity, String(rest["collection"]))) : result
    }
    case "collection":
      return opened(entity, name, rest, entity.client, session) ??
        on(collectionOperations, entity.collection, entity.client)
    case "session":
      return on(sessionOperations(world), entity, entity.client)
    case "cursor": {
      const ofCursor = Cursors.cursorOperations[name]
      if (rest["timeoutMS"] !== undefined) throw new Unsupported("a time limit of closing a cursor alone")
      if (ofCursor === undefined) throw new Unsupported(`the operation ${name} of a cursor`)
      return ofCursor(entity)
    }
    case "bucket":
      throw new Unsupported(`GridFS, the operation ${name} of a bucket`)
    case "thread":
    case "value":
      throw new Unsupported(`the operation ${name} of a ${entity._tag}`)
  }
}

const opened = (
  entity: Entity,
  name: string,
  args: Readonly<Record<string, unknown>>,
  client: Client,
  session: SessionEntity | undefined
): Effect.Effect<unknown, Failure> | undefined => {
  const opening = Cursors.openingOf(name, entity, ofOperation(args))
  return opening && Cursors.open(opening, client, session)
}
