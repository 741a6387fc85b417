/**
 * Outages of a set of three, and what a caller meets in them: measured on real servers.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Collection from "../../../src/Collection.js"
import * as MongoClient from "../../../src/MongoClient.js"
import * as Session from "../../../src/Session.js"
import * as MongoServer from "../../../src/testing/MongoServer.js"
import * as Transaction from "../../../src/Transaction.js"
import * as Monitor from "../watch/monitor.js"
import * as Proxy from "./proxy.js"
import * as TestServer from "./testServer.js"

/** What goes wrong with a set, until the scope closes or it is over. */
export interface Outage {
  readonly name: string
  /** What it is, for the page. */
  readonly about: string
  readonly begin: Effect.Effect<void, MongoServer.MemberFailed, Scope.Scope | MongoServer.MongoServer>
  /** Whether the client reaches the primary through a network that the outage cuts, and through that only. */
  readonly network?: (proxy: Proxy.Proxy) => Outage["begin"]
}

const onPrimary = (deed: "kill" | "freeze"): Outage["begin"] =>
  Effect.gen(function*() {
    const { primary } = yield* MongoServer.MongoServer
    yield* (yield* primary)[deed]
  })

// It ends by itself after a time, and when the scope closes at the latest.
const lasting = <E, R>(time: Duration.DurationInput, begin: Effect.Effect<void, E, R | Scope.Scope>) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    yield* Scope.extend(begin, scope)
    yield* Effect.forkScoped(Effect.delay(Scope.close(scope, Exit.void), time))
  })

/** How long the set has no primary: longer than the driver looks for one. */
const lasts = Duration.seconds(40)
/** How long the network is cut: longer than the driver waits for an answer to its heartbeat. */
const isCut = Duration.seconds(55)

/** What a set does not survive unnoticed. */
export const outages = {
  killed: {
    name: "primary killed",
    about: "SIGKILL, and it does not come back meanwhile",
    begin: onPrimary("kill")
  },
  frozen: {
    name: "primary frozen",
    about: "SIGSTOP, and it does not go on meanwhile: its connections stay open, and nothing answers",
    begin: onPrimary("freeze")
  },
  steppedDown: {
    name: "primary stepped down",
    about: "`replSetStepDown`",
    begin: Effect.flatMap(MongoServer.MongoServer, ({ stepDown }) => stepDown)
  },
  twoGone: {
    name: "two of three gone",
    about: `SIGKILL of the primary and of a secondary, which start again after ${Duration.format(lasts)}`,
    begin: lasting(
      lasts,
      Effect.gen(function*() {
        const { members, primary } = yield* MongoServer.MongoServer
        const first = yield* primary
        const second = members.find(({ address }) => address !== first.address)
        yield* Effect.all([first.kill, second?.kill ?? Effect.void], { concurrency: "unbounded", discard: true })
      })
    )
  },
  cut: {
    name: "network cut",
    about: `between the client and the set, for ${
      Duration.format(lasts)
    }: connections stay open, and nothing gets through`,
    begin: Effect.void,
    network: ({ cut, mend }) => lasting(isCut, Effect.acquireRelease(cut, () => mend))
  }
} satisfies Record<string, Outage>

/** What the caller does when it begins. */
export const moments = {
  operation: "an operation is under way: `insertOne` in a session",
  body: "the body of a transaction is between two inserts",
  commit: "the commit of a transaction with two inserts is under way"
} as const
export type Moment = keyof typeof moments

/** What was met. */
export interface Met {
  readonly exit: Exit.Exit<unknown, { readonly _tag: string }>
  /** How often the body, or the operation, was run. */
  readonly runs: number
  /** How long it took, from the outage's beginning on. */
  readonly after: Duration.Duration
  /** How many of the documents are on the server when all is over, by number. */
  readonly documents: ReadonlyArray<number>
  /** How many transactions of the client are open on the server then. */
  readonly open: number
}

// So long a command waits on the server before it is executed: the outage begins in the meantime.
const held = Duration.seconds(1)

/** Lets an outage happen at a moment, and looks at what came of it. */
export const measure = (outage: Outage, moment: Moment) =>
  Effect.gen(function*() {
    const { primary, url } = yield* MongoServer.MongoServer
    const database = yield* TestServer.database
    const { address } = yield* primary
    const proxy = yield* Proxy.make(Number(address.split(":")[1]))
    const { appName, client, monitor } = yield* Monitor.connect({
      url: Redacted.make(
        outage.network === undefined ? url : `mongodb://127.0.0.1:${proxy.port}/?directConnection=true`
      ),
      database
    })
    yield* Effect.promise(() => client.driver.db(database).createCollection("items"))
    const met = yield* Effect.scoped(
      meet(outage.network?.(proxy) ?? outage.begin, moment, { appName, monitor }).pipe(
        Effect.provideService(MongoClient.MongoClient, client)
      )
    )
    return { ...met, ...(yield* found(database, appName)) }
  }).pipe(Effect.scoped)

const meet = (begin: Outage["begin"], moment: Moment, { appName, monitor }: Omit<Monitor.Watched, "client">) =>
  Effect.gen(function*() {
    const { driver } = yield* MongoClient.MongoClient
    const items = Collection.make("items")
    const begun = yield* Deferred.make<number>()
    const outage = Effect.zipRight(
      Effect.suspend(() => Deferred.succeed(begun, performance.now())),
      begin
    )
    const insert = (n: number) => items.insertOne({ n, of: moment })
    let runs = 0
    const counted = Effect.sync(() => void runs++)
    const hold = (command: string) =>
      Effect.promise(() =>
        driver.db("admin").command({
          configureFailPoint: "failCommand",
          mode: { times: 1 },
          data: { failCommands: [command], appName, blockConnection: true, blockTimeMS: Duration.toMillis(held) }
        })
      )
    const whileSent = (command: string) => Effect.zipRight(monitor.awaitStarted(command), Effect.sleep("200 millis"))

    const outer = yield* Effect.scope
    const extended = Scope.extend(outage, outer)
    const both = (between: Effect.Effect<void, MongoServer.MemberFailed, MongoServer.MongoServer>) =>
      counted.pipe(
        Effect.zipRight(insert(1)),
        Effect.zipRight(Effect.suspend(() => runs === 1 ? between : Effect.void)),
        Effect.zipRight(insert(2)),
        Transaction.run()
      )
    const at = {
      operation: Effect.gen(function*() {
        yield* hold("insert")
        const running = yield* Effect.fork(Effect.exit(Session.scoped(Effect.zipRight(counted, insert(1)))))
        yield* Effect.zipRight(whileSent("insert"), extended)
        return yield* Fiber.join(running)
      }),
      body: Effect.exit(both(extended)),
      commit: Effect.gen(function*() {
        yield* hold("commitTransaction")
        const running = yield* Effect.fork(Effect.exit(both(Effect.void)))
        yield* Effect.zipRight(whileSent("commitTransaction"), extended)
        return yield* Fiber.join(running)
      })
    }
    const ended = yield* Effect.map(at[moment], (exit) => ({ exit, at: performance.now() }))
    return { exit: ended.exit, runs, after: Duration.millis(ended.at - (yield* Deferred.await(begun))) }
  })

const found = (database: string, appName: string) =>
  Effect.scoped(Effect.gen(function*() {
    const { primary } = yield* MongoServer.MongoServer
    yield* primary
    const driver = yield* TestServer.driver()
    const transactions = Effect.promise(() =>
      driver.db("admin").aggregate([
        { $currentOp: { allUsers: true, idleSessions: true } },
        {
          $match: { transaction: { $exists: true }, $or: [{ appName }, { "clientMetadata.application.name": appName }] }
        }
      ]).toArray()
    )
    // What is aborted in the background may take a moment.
    const open = yield* Effect.map(transactions, ({ length }) => length).pipe(
      Effect.delay("100 millis"),
      Effect.repeat({ until: (count) => count === 0, times: 50 })
    )
    const items = driver.db(database).collection<{ _id: object; n: number }>("items", {
      readConcern: { level: "majority" }
    })
    const documents = yield* Effect.promise(() => items.find().sort({ n: 1 }).toArray())
    return { open, documents: documents.map(({ n }) => n) }
  }))
