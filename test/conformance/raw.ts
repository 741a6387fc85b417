/**
 * Runs a test by the driver alone, without this library: what comes of that is the evidence for a waiver. It knows the
 * operations of tests that are waived, and no others.
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Driver from "mongodb"
import * as Events from "./events.js"
import type { File, Operation, Test } from "./format.js"
import type { Names } from "./matching.js"
import { typed } from "./operations/collection.js"
import { withUriOptions } from "./options.js"
import type { Outcome } from "./runner.js"
import type { Server } from "./server.js"
import { ensure, Mismatch, Unsupported } from "./verdict.js"

// Where the driver has no time limit, it may wait for what never comes.
const timeLimit = "5 seconds"

/** What came of a test by the driver alone. */
export const run = (server: Server, file: File, test: Test): Effect.Effect<Outcome> =>
  Effect.suspend(() => {
    const world: World = {
      url: server.url,
      clients: new Map(),
      databases: new Map(),
      collections: new Map(),
      sessions: new Map(),
      cursors: new Map(),
      failPoints: []
    }
    return server.load(file.initialData).pipe(
      Effect.zipRight(
        Effect.promise(() => outcomeOf(world, file, test)).pipe(
          Effect.disconnect,
          Effect.timeoutTo({
            duration: timeLimit,
            onSuccess: identity,
            onTimeout: (): Outcome => ({ result: "failed", reason: `waits for longer than ${timeLimit}` })
          })
        )
      ),
      Effect.ensuring(Effect.promise(() => close(world))),
      Effect.ensuring(server.killAllSessions)
    )
  })

const close = async ({ clients, failPoints }: World): Promise<void> => {
  for (const off of failPoints) await off()
  for (const { driver } of clients.values()) await driver.close()
}

interface Client {
  readonly driver: Driver.MongoClient
  readonly recorder: Events.Recorder
}

interface World {
  readonly url: string
  readonly clients: Map<string, Client>
  readonly databases: Map<string, Driver.Db>
  readonly collections: Map<string, Driver.Collection>
  readonly sessions: Map<string, Driver.ClientSession>
  readonly cursors: Map<string, Driver.AbstractCursor | Driver.ChangeStream>
  readonly failPoints: Array<() => Promise<unknown>>
}

const outcomeOf = async (world: World, file: File, test: Test): Promise<Outcome> => {
  try {
    for (const declaration of file.createEntities) await create(world, declaration)
    for (const operation of test.operations) await runOne(world, operation)
    for (const { recorder } of world.clients.values()) recorder.stop()
    for (const expected of test.expectEvents) {
      Events.ensureEvents(expected, known(world.clients, expected.client).recorder, names)
    }
    return { result: "passed", reason: "" }
  } catch (error) {
    if (error instanceof Unsupported) throw error
    return { result: "failed", reason: error instanceof Error ? error.message : String(error) }
  }
}

const names: Names = { value: () => undefined, lsid: () => undefined }

const known = <A>(entities: ReadonlyMap<string, A>, name: unknown): A => {
  const found = entities.get(String(name))
  if (found === undefined) throw new Unsupported(`there is no entity ${String(name)} of the driver's`)
  return found
}

const create = async (world: World, declaration: Driver.Document): Promise<void> => {
  const [kind = "", fields] = Object.entries<Driver.Document>(declaration)[0] ?? []
  if (fields === undefined) throw new Mismatch(`the entity ${kind} is not a document`)
  const { client, database, id } = fields
  switch (kind) {
    case "client": {
      const driver = new Driver.MongoClient(withUriOptions(world.url, fields["uriOptions"] ?? {}), {
        monitorCommands: true
      })
      const recorder = Events.record(driver, {
        observeEvents: fields["observeEvents"] ?? [],
        ignoredCommands: fields["ignoreCommandMonitoringEvents"] ?? [],
        observeSensitiveCommands: false
      })
      world.clients.set(id, { driver: await driver.connect(), recorder })
      return
    }
    case "database":
      world.databases.set(id, known(world.clients, client).driver.db(fields["databaseName"]))
      return
    case "collection":
      world.collections.set(id, known(world.databases, database).collection(fields["collectionName"]))
      return
    case "session":
      world.sessions.set(id, known(world.clients, client).driver.startSession(fields["sessionOptions"]))
      return
    case "bucket":
      return
    default:
      throw new Unsupported(`there are no entities of the kind ${kind} of the driver's`)
  }
}

const runOne = async (world: World, operation: Operation): Promise<void> => {
  const { arguments: args, expectError, name, object, saveResultAsEntity } = operation
  if (object !== "testRunner") { for (const { recorder } of world.clients.values()) recorder.begins() }
  let failure: unknown
  try {
    const result = await (object === "testRunner" ? ofRunner(world, name, args) : evaluate(world, operation))
    if (saveResultAsEntity !== undefined) keep(world, saveResultAsEntity, result)
  } catch (error) {
    if (error instanceof Unsupported || expectError === undefined) throw error
    failure = error
  }
  if (expectError === undefined) return
  const where = `${object}.${name}`
  ensure(failure !== undefined, `${where}: expected a failure`)
  const isTimeout = failure instanceof Driver.MongoOperationTimeoutError
  const { isClientError, isTimeoutError = isTimeout } = expectError
  ensure(isTimeoutError === isTimeout, `${where}: expected a time-out, found ${String(failure)}`)
  const isOfServer = failure instanceof Driver.MongoServerError
  ensure(isClientError !== isOfServer, `${where}: expected another kind of error, found ${String(failure)}`)
}

const keep = ({ collections, cursors }: World, name: string, result: unknown): void => {
  if (result instanceof Driver.Collection) collections.set(name, result)
  else if (result instanceof Driver.AbstractCursor || result instanceof Driver.ChangeStream) cursors.set(name, result)
  else throw new Unsupported(`the result ${name} of the driver's`)
}

const ofRunner = async (world: World, name: string, args: Driver.Document): Promise<void> => {
  switch (name) {
    case "createEntities":
      for (const declaration of args["entities"]) await create(world, declaration)
      return
    case "failPoint": {
      const { configureFailPoint } = args["failPoint"]
      const admin = known(world.clients, args["client"]).driver.db("admin")
      world.failPoints.push(() => admin.command({ configureFailPoint, mode: "off" }))
      await admin.command(args["failPoint"])
      return
    }
    case "wait":
      return Effect.runPromise(Effect.sleep(args["ms"]))
    default:
      throw new Unsupported(`the operation ${name} of the runner by the driver`)
  }
}

const evaluate = async (world: World, { arguments: given, name, object }: Operation): Promise<unknown> => {
  const { session, ...args } = given
  const within = session === undefined ? {} : { session: known(world.sessions, session) }
  const [db, collection, cursor] = [
    world.databases.get(object),
    world.collections.get(object),
    world.cursors.get(object)
  ]
  const handler = db !== undefined
    ? ofDatabase[name]?.bind(undefined, db)
    : collection !== undefined
    ? ofCollection[name]?.bind(undefined, collection)
    : cursor !== undefined
    ? ofCursor[name]?.bind(undefined, cursor)
    : undefined
  if (handler === undefined) throw new Unsupported(`the operation ${name} of ${object} by the driver`)
  return handler({ ...args, ...within })
}

type Handlers<Target> = Readonly<Record<string, (target: Target, args: Driver.Document) => Promise<unknown>>>

const cursorOf = (db: Driver.Db, { command, commandName: _, cursorType, ...options }: Driver.Document) =>
  db.runCursorCommand(command, typed({ ...options, cursorType }))

const ofDatabase: Handlers<Driver.Db> = {
  createCollection: (db, { collection, ...options }) => db.createCollection(collection, options),
  createCommandCursor: async (db, args) => opened(cursorOf(db, args)),
  dropCollection: (db, { collection, ...options }) => db.dropCollection(collection, options),
  runCommand: (db, { command, commandName: _, ...options }) => db.command(command, options),
  runCursorCommand: (db, args) => cursorOf(db, args).toArray()
}

const ofCollection: Handlers<Driver.Collection> = {
  aggregate: (collection, { pipeline, ...options }) => collection.aggregate(pipeline, options).toArray(),
  createChangeStream: async (collection, { pipeline, ...options }) => {
    const stream = collection.watch(pipeline, options)
    await stream.tryNext()
    return stream
  },
  createFindCursor: async (collection, { filter, ...options }) => opened(collection.find(filter, typed(options))),
  distinct: (collection, { fieldName, filter, ...options }) => collection.distinct(fieldName, filter, options),
  find: (collection, { filter, ...options }) => collection.find(filter, typed(options)).toArray(),
  insertMany: (collection, { documents, ...options }) => collection.insertMany(documents, options),
  insertOne: (collection, { document, ...options }) => collection.insertOne(document, options)
}

const opened = async (cursor: Driver.AbstractCursor): Promise<Driver.AbstractCursor> => {
  await cursor.hasNext()
  return cursor
}

const ofCursor: Handlers<Driver.AbstractCursor | Driver.ChangeStream> = {
  close: (cursor, options) => cursor.close(options),
  iterateOnce: (cursor) => cursor.tryNext(),
  iterateUntilDocumentOrError: (cursor) => cursor.next()
}
