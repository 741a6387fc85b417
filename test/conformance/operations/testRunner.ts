/**
 * The operations of the runner itself: fail points, assertions, and what makes a test wait.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Driver from "mongodb"
import * as Session from "../../../src/Session.js"
import * as Transaction from "../../../src/Transaction.js"
import type { Client, Failure } from "../entities.js"
import { countEvents } from "../events.js"
import { operations } from "../format.js"
import { bytesOf, isDocument, show } from "../values.js"
import { ensure, Mismatch, Unsupported } from "../verdict.js"
import { openedOf, type World } from "./call.js"

type RunnerOperation = (world: World, args: Driver.Document) => Effect.Effect<void, Failure>

const checked = (check: (world: World, args: Driver.Document) => void): RunnerOperation => (world, args) =>
  Effect.sync(() => check(world, args))

const ofSession =
  (check: (session: Session.Service, args: Driver.Document) => Effect.Effect<void>): RunnerOperation => (world, args) =>
    Effect.flatMap(openedOf(world.entities.get("session", args["session"])), (one) => check(one, args))

const dirty = (wanted: boolean) =>
  ofSession(({ isDirty }) =>
    Effect.map(isDirty, (is) => ensure(is === wanted, `the session is ${is ? "dirty" : "not dirty"}`))
  )

const pinned = (wanted: boolean) =>
  ofSession(({ serverAddress }) =>
    Effect.map(
      serverAddress,
      ({ _tag }) => ensure((_tag === "Some") === wanted, `the session is ${wanted ? "not pinned" : "pinned"}`)
    )
  )

const exists = (
  what: "collection" | "index",
  wanted: boolean
): RunnerOperation =>
({ server }, { collectionName, databaseName, indexName }) => {
  const names = what === "collection"
    ? server.collectionNames(databaseName)
    : server.indexNames(databaseName, collectionName)
  const name = what === "collection" ? collectionName : indexName
  return Effect.map(
    names,
    (found) => ensure(found.includes(name) === wanted, `the ${what} ${name} is ${wanted ? "missing" : "there"}`)
  )
}

const lastLsids = ({ recorder }: Client): ReadonlyArray<string> => {
  const commands = recorder.events.filter(({ name }) => name === "commandStartedEvent").slice(-2)
  const lsids = commands.map(({ fields }) => {
    const { command } = fields
    const lsid = isDocument(command) ? command["lsid"] : undefined
    const bytes = isDocument(lsid) ? bytesOf(lsid["id"]) : undefined
    return bytes && Buffer.from(bytes).toString("hex")
  }).filter((lsid) => lsid !== undefined)
  ensure(lsids.length === 2, () => `the last two commands have not both a session: ${show(commands)}`)
  return lsids
}

const lsids = (same: boolean) =>
  checked(({ entities }, { client }) => {
    const [first, second] = lastLsids(entities.get("client", client))
    ensure(
      (first === second) === same,
      `the last two commands have ${same ? "different sessions" : "the same session"}`
    )
  })

const states: Readonly<Record<string, Transaction.State>> = {
  none: "none",
  starting: "starting",
  in_progress: "inProgress",
  committed: "committed",
  aborted: "aborted"
}

const countOf = ({ entities }: World, { client, event }: Driver.Document): number =>
  countEvents(event, entities.get("client", client).recorder, entities.names)

export const runnerOperations: Readonly<Record<string, RunnerOperation>> = {
  assertCollectionExists: exists("collection", true),
  assertCollectionNotExists: exists("collection", false),
  assertDifferentLsidOnLastTwoCommands: lsids(false),
  assertEventCount: checked((world, args) => {
    const found = countOf(world, args)
    ensure(found === args["count"], `expected ${args["count"]} events, found ${found}`)
  }),
  assertIndexExists: exists("index", true),
  assertIndexNotExists: exists("index", false),
  assertNumberConnectionsCheckedOut: checked(({ entities }, { client, connections }) => {
    const found = entities.get("client", client).recorder.checkedOut()
    ensure(found === connections, `expected ${connections} connections in use, found ${found}`)
  }),
  assertSameLsidOnLastTwoCommands: lsids(true),
  assertSessionDirty: dirty(true),
  assertSessionNotDirty: dirty(false),
  assertSessionPinned: pinned(true),
  assertSessionTransactionState: ofSession((session, { state }) =>
    Effect.map(
      Session.provide(Transaction.state, session),
      (found) => ensure(found === states[state], `the transaction is ${found}, not ${state}`)
    )
  ),
  assertSessionUnpinned: pinned(false),
  createEntities: (world, { entities }) => world.create(entities),
  failPoint: (world, { client, failPoint }) =>
    Effect.promise(async () => {
      world.failPoints.add(failPoint.configureFailPoint)
      await world.entities.get("client", client).service.driver.db("admin").command(failPoint)
    }),
  runOnThread: ({ all, entities }, { operation, thread }) =>
    Effect.suspend(() => {
      const entity = entities.get("thread", thread)
      const { last } = entity
      const next = all(operations([operation]))
      const started = Effect.forkDaemon(last === undefined ? next : Effect.zipRight(Fiber.join(last), next))
      return Effect.map(started, (fiber) => void (entity.last = fiber))
    }),
  targetedFailPoint: () => {
    throw new Unsupported("a fail point for one of several mongos")
  },
  wait: (_, { ms }) => Effect.sleep(ms),
  waitForEvent: (world, args) =>
    Effect.sync(() => countOf(world, args)).pipe(
      Effect.delay("10 millis"),
      Effect.repeat({ until: (found) => found >= args["count"] }),
      Effect.timeoutFail({ duration: "10 seconds", onTimeout: () => new Mismatch("the events did not come") }),
      Effect.orDie,
      Effect.asVoid
    ),
  waitForThread: ({ entities }, { thread }) =>
    Effect.suspend(() => {
      const { last } = entities.get("thread", thread)
      return last === undefined ? Effect.void : Fiber.join(last)
    }).pipe(
      Effect.timeoutFail({ duration: "10 seconds", onTimeout: () => new Mismatch("the thread did not end") }),
      Effect.orDie
    )
}
