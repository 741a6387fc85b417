/**
 * A place to run transactions in: a watched client, a database of its own, and fail points that meet nobody else.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Collection } from "mongodb"
import * as MongoClient from "../../../src/MongoClient.js"
import { Label, type MongoError } from "../../../src/MongoError.js"
import * as Session from "../../../src/Session.js"
import type { UseError } from "../../../src/SessionErrors.js"
import * as FailPoint from "../../../src/testing/FailPoint.js"
import type * as MongoServer from "../../../src/testing/MongoServer.js"
import * as Transaction from "../../../src/Transaction.js"
import { lsidOf } from "../server/responder.js"
import * as TestServer from "../server/testServer.js"
import * as Monitor from "../watch/monitor.js"

/** What the collection holds. */
export interface Item {
  readonly _id: number
}

type Failing = Effect.Effect<void, FailPoint.FailPointFailed, MongoServer.MongoServer | Scope.Scope>

/** Where a test's transactions run. */
export interface Place extends Monitor.Watched {
  readonly items: Collection<Item>
  /** Inserts a document in the ambient session; a number that is there already is a duplicate key. */
  readonly insert: (n: number) => Effect.Effect<void, UseError, Session.Session>
  /** How many documents the ambient session sees. */
  readonly count: Effect.Effect<number, UseError, Session.Session>
  /** What is committed, in order; asked by another client. */
  readonly stored: Effect.Effect<ReadonlyArray<number>>
  /** The commands of transactions that were sent; see {@link toLines}. */
  readonly wire: Effect.Effect<ReadonlyArray<string>>
  /** Sets a fail point for this client, until the scope closes. Another one takes its place. */
  readonly failing: (options: Omit<FailPoint.Options, "appName">) => Failing
  /** The next so many of these commands fail with the label that allows to run the whole again. */
  readonly transientOn: (commands: ReadonlyArray<string>, times?: number) => Failing
  /** The connection is closed instead of answering the next so many of these commands; they are not executed. */
  readonly closeConnectionOn: (commands: ReadonlyArray<string>, times?: number) => Failing
  /**
   * The next so many commits do not tell whether they happened: their connection is closed, which the driver makes good
   * once by itself; or, with a code, they happen, and say that their write concern was not satisfied.
   */
  readonly lostCommit: (times?: number, code?: number) => Failing
}

/** Runs a test in a place of its own; nothing may be left open afterwards, and no two commands of a session may meet. */
export const inPlace = <A, E, R>(
  test: (place: Place) => Effect.Effect<A, E, R>,
  options: Partial<MongoClient.Options> = {}
): Effect.Effect<
  A,
  E | MongoError,
  Exclude<Exclude<R, MongoClient.MongoClient>, Scope.Scope> | MongoServer.MongoServer
> =>
  Monitor.withClient(options, (watched) =>
    Effect.gen(function*() {
      const name = yield* TestServer.database
      const other = yield* TestServer.driver()
      yield* Effect.promise(() => other.db(name).createCollection("items"))
      const items = watched.client.driver.db(name).collection<Item>("items")
      const failing: Place["failing"] = (fail) => FailPoint.failCommand(other, { ...fail, appName: watched.appName })
      const result = yield* test({
        ...watched,
        items,
        insert: (n) => Effect.asVoid(Session.use((session) => items.insertOne({ _id: n }, { session }))),
        count: Session.use((session, signal) => items.countDocuments({}, { session, signal })),
        stored: Effect.promise(() =>
          other.db(name).collection<Item>("items").find().sort({ _id: 1 }).map(({ _id }) => _id).toArray()
        ),
        wire: Effect.map(watched.monitor.commands, toLines),
        failing,
        transientOn: (failCommands, times = 1) => failing({ failCommands, mode: { times }, ...transient }),
        closeConnectionOn: (failCommands, times = 1) =>
          failing({ failCommands, mode: { times }, closeConnection: true }),
        lostCommit: (times = 1, code) =>
          failing({
            failCommands: ["commitTransaction"],
            mode: { times },
            ...(code === undefined ? { closeConnection: true } : { writeConcernError: { code, errmsg: "lost" } })
          })
      })
      const overlaps = yield* watched.monitor.overlaps
      if (overlaps.length > 0) {
        return yield* Effect.dieMessage(
          `commands of one session met: ${overlaps.map(([one, two]) => `${one.name} and ${two.name}`).join(", ")}`
        )
      }
      return result
    }).pipe(Effect.provideService(MongoClient.MongoClient, watched.client)))

/** A failure that allows to run the whole transaction again. */
const transient = { errorCode: 251, errorLabels: [Label.TransientTransactionError] } as const

/**
 * Commands of transactions, one line each: which transaction, counted from 1, by session and number; the name; `start` if
 * it begins the transaction on the server; and the `w` of its write concern. Commands outside of any are left out.
 */
export const toLines = (commands: ReadonlyArray<Pick<Monitor.Seen, "name" | "command">>): ReadonlyArray<string> => {
  const transactions: Array<string> = []
  return commands.filter(({ command }) => command["autocommit"] === false).map(({ command, name }) => {
    const { startTransaction, txnNumber, writeConcern } = command
    const transaction = `${lsidOf(command)} ${String(txnNumber)}`
    if (!transactions.includes(transaction)) transactions.push(transaction)
    return [
      String(transactions.indexOf(transaction) + 1),
      name,
      ...(startTransaction === true ? ["start"] : []),
      ...(writeConcern?.w === undefined ? [] : [`w:${writeConcern.w}`])
    ].join(" ")
  })
}

/** Fails a test that waits for ever, long before its runner does. */
export const noDeadlock = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.timeoutFailCause(Effect.disconnect(effect), {
    duration: "10 seconds",
    onTimeout: () => Cause.die(new Error("a deadlock"))
  })

/** Writes down which of the two kinds of hooks has run. */
export const witness = () => {
  const hooks: Array<string> = []
  const note = (name: string) => Effect.sync(() => void hooks.push(name))
  const register = Effect.zipRight(
    Transaction.onCommit(note("onCommit")),
    Transaction.onRollback(note("onRollback"))
  )
  return { hooks, register }
}
