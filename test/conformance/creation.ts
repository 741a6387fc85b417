/**
 * Makes the entities that a test declares, of the library's own clients, databases, collections and sessions.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Scope from "effect/Scope"
import * as Driver from "mongodb"
import * as Database from "../../src/Database.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import type { SessionOptions } from "../../src/SessionOptions.js"
import type { Client, Entities, Failure } from "./entities.js"
import * as Events from "./events.js"
import { concerns, timeoutOf, transaction, withUriOptions } from "./options.js"
import * as Tracing from "./tracing.js"
import { isDocument } from "./values.js"
import { ensure, Mismatch, Unsupported } from "./verdict.js"

/** Where entities are made. */
export interface Place {
  readonly url: string
  readonly entities: Entities
  readonly scope: Scope.Scope
}

/** Makes entities, in order. */
export const create = (
  place: Place,
  declarations: ReadonlyArray<Readonly<Record<string, unknown>>>
): Effect.Effect<void, Failure> =>
  Effect.forEach(declarations, (declaration) => {
    const [kind = "", fields] = Object.entries(declaration)[0] ?? []
    if (!isDocument(fields)) throw new Mismatch(`the entity ${kind} is not a document`)
    const make = makers[kind]
    if (make === undefined) throw new Unsupported(`there are no entities of the kind ${kind}`)
    return make(place, fields)
  }, { discard: true })

type Maker = (place: Place, fields: Driver.Document) => Effect.Effect<void, Failure>

const forkScope = (scope: Scope.Scope) => Scope.fork(scope, ExecutionStrategy.sequential)

const clientOptions = new Set([
  "awaitMinPoolSizeMS",
  "id",
  "ignoreCommandMonitoringEvents",
  "observeEvents",
  "observeSensitiveCommands",
  "observeTracingMessages",
  "serverApi",
  "uriOptions",
  // There are no several of them where this runs.
  "useMultipleMongoses"
])

const client: Maker = ({ entities, scope, url }, fields) =>
  Effect.gen(function*() {
    const { awaitMinPoolSizeMS, id, serverApi, uriOptions: { timeoutMS, ...uriOptions } = {} } = fields
    const unsupported = Object.keys(fields).find((option) => !clientOptions.has(option))
    if (unsupported !== undefined) throw new Unsupported(`the client option ${unsupported}`)
    const driver = new Driver.MongoClient(withUriOptions(url, uriOptions), {
      monitorCommands: true,
      // Without it, the driver checks a connection out to connect, which the tests of connections don't count with.
      ...{ __skipPingOnConnect: true },
      ...(serverApi === undefined ? {} : { serverApi })
    })
    const recorder = Events.record(driver, {
      observeEvents: fields["observeEvents"] ?? [],
      ignoredCommands: fields["ignoreCommandMonitoringEvents"] ?? [],
      observeSensitiveCommands: fields["observeSensitiveCommands"] ?? false
    })
    const own = yield* forkScope(scope)
    const acquire = Effect.acquireRelease(Effect.succeed(driver), () => Effect.promise(() => driver.close()))
    const service = yield* Scope.extend(
      MongoClient.fromDriver(acquire, { ...timeoutOf(timeoutMS), ...telemetryOf(fields["observeTracingMessages"]) }),
      own
    )
    // Only now, so that the library need not ask for what connecting tells.
    yield* Effect.promise(() => driver.connect())
    if (awaitMinPoolSizeMS !== undefined) yield* awaitPool(recorder, uriOptions.minPoolSize, awaitMinPoolSizeMS)
    const entity: Client = {
      _tag: "client",
      service,
      recorder,
      tracing: fields["observeTracingMessages"] === undefined ? undefined : Tracing.record(),
      scope: own
    }
    entities.add(id, entity)
  })

const telemetryOf = (observed: Driver.Document | undefined): Pick<MongoClient.CommonOptions, "telemetry"> =>
  observed === undefined
    ? {}
    : { telemetry: { commands: true, queryTextLength: observed["enableCommandPayload"] === true ? 100_000 : 0 } }

// What becomes ready on the way is not for the test to see.
const awaitPool = (recorder: Events.Recorder, size: number, patience: number): Effect.Effect<void> =>
  Effect.sync(() => recorder.ready()).pipe(
    Effect.delay("5 millis"),
    Effect.repeat({ until: (ready) => ready >= size }),
    Effect.timeoutFail({
      duration: patience,
      onTimeout: () => new Mismatch(`the pool had less than ${size} connections after ${patience} ms`)
    }),
    Effect.orDie,
    Effect.zipRight(Effect.sync(() => recorder.clear()))
  )

const database: Maker = ({ entities }, { client, databaseName, databaseOptions, id }) =>
  Effect.sync(() =>
    entities.add(id, {
      _tag: "database",
      client: entities.get("client", client),
      database: Database.make(databaseName, concerns(databaseOptions))
    })
  )

const collection: Maker = ({ entities }, { collectionName, collectionOptions, database, id }) =>
  Effect.sync(() => {
    const parent = entities.get("database", database)
    entities.add(id, {
      _tag: "collection",
      client: parent.client,
      collection: parent.database.collection(collectionName, concerns(collectionOptions))
    })
  })

const session: Maker = ({ entities, scope }, { client, id, sessionOptions }) =>
  Effect.gen(function*() {
    const parent = entities.get("client", client)
    const own = yield* forkScope(scope)
    const opened = yield* Session.make(ofSession(sessionOptions, entities)).pipe(
      Effect.provideService(MongoClient.MongoClient, parent.service),
      (open) => Scope.extend(open, own),
      Effect.either
    )
    const lsid = Either.isRight(opened) ? opened.right.id.bytes : undefined
    entities.add(id, { _tag: "session", client: parent, opened, lsid, scope: own })
  })

const ofSession = (options: Driver.Document = {}, entities: Entities): SessionOptions => {
  const { causalConsistency, defaultTimeoutMS, defaultTransactionOptions, snapshot, snapshotTime, ...rest } = options
  const unknown = Object.keys(rest)[0]
  if (unknown !== undefined) throw new Unsupported(`the session option ${unknown}`)
  return {
    causalConsistency,
    snapshot,
    ...timeoutOf(defaultTimeoutMS),
    snapshotTime: snapshotTime === undefined ? undefined : timestampOf(entities.names.value(snapshotTime)),
    ...(defaultTransactionOptions === undefined
      ? {}
      : { defaultTransactionOptions: transaction(defaultTransactionOptions) })
  }
}

const timestampOf = (value: unknown): Driver.Timestamp => {
  ensure(value instanceof Driver.Timestamp, "the snapshot time is not a timestamp")
  return value
}

const thread: Maker = ({ entities }, { id }) => Effect.sync(() => entities.add(id, { _tag: "thread", last: undefined }))

// Tests declare buckets that they do not use; an operation of one is what the library does not have.
const bucket: Maker = ({ entities }, { id }) => Effect.sync(() => entities.add(id, { _tag: "bucket" }))

const makers: Readonly<Record<string, Maker>> = { bucket, client, database, collection, session, thread }
