/**
 * Connects a client, watches its deployment and keeps its sessions alive, until the scope closes.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constTrue } from "effect/Function"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import { SessionId } from "../../SessionId.js"
import * as SessionKeeper from "../../SessionKeeper.js"
import * as Call from "../driver/call.js"
import * as DriverClient from "../driver/client.js"
import * as Command from "../driver/command.js"
import { endForgotten } from "../driver/forgotten.js"
import { make as makePool } from "../driver/pool.js"
import { secureRandom } from "../driver/random.js"
import { type Deployment, type TopologyWatch, watchTopology } from "../driver/topology.js"
import { closingStep, errorName } from "../telemetry/close.js"
import { type Commands, watchCommands } from "../telemetry/commands.js"
import { commenting } from "../telemetry/comment.js"
import { watchPools } from "../telemetry/connections.js"
import { Lifetime } from "../telemetry/lifetime.js"
import * as Log from "../telemetry/log.js"
import * as Operations from "../telemetry/operations.js"
import * as Spans from "../telemetry/spans.js"
import { runAs, type RunningFiber } from "../time/fiber.js"
import { inner, type Service } from "./client.js"
import type { Connection, Settings } from "./clientSettings.js"
import { settle } from "./owed.js"

/** A client that this library makes, and closes. */
export const own = (
  { driver: options, settings, url }: Connection
): Effect.Effect<Service, MongoError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const { commands: isMonitored } = settings.telemetry
      const driver = yield* DriverClient.makeClient(url, isMonitored ? { ...options, monitorCommands: true } : options)
      yield* watchPools(driver)
      const watch = yield* watchTopology(driver)
      const commands = yield* watchCommands(driver, watch, settings.telemetry)
      const close = closeDriver(driver, settings.closeTimeout)
      yield* Effect.onError(restore(DriverClient.connect(driver, close)), () => Effect.forkDaemon(close))
      yield* Effect.addFinalizer(() => close)
      return yield* serve(driver, watch, commands, settings)
    })
  )

/** A client that somebody else has made, and closes. */
export const theirs = (driver: Driver.MongoClient, settings: Settings): Effect.Effect<Service, never, Scope.Scope> =>
  Effect.uninterruptible(
    Effect.gen(function*() {
      yield* watchPools(driver)
      const watch = yield* watchTopology(driver)
      return yield* serve(driver, watch, yield* watchCommands(driver, watch, settings.telemetry), settings)
    })
  )

const serve = (
  driver: Driver.MongoClient,
  topology: TopologyWatch,
  commands: Commands | undefined,
  settings: Settings
): Effect.Effect<Service, never, Scope.Scope> =>
  Effect.gen(function*() {
    let closed = false
    const observer = Operations.make(
      topology.server,
      commands,
      settings.telemetry.comments ? commenting(topology) : undefined
    )
    const broken = yield* DriverClient.countBroken(driver)
    yield* endForgotten(driver)
    const adminCommand = (command: Driver.Document): Effect.Effect<Driver.Document, MongoError> => {
      const name = Object.keys(command)[0] ?? "command"
      return Operations.operation(observer, { name, database: "admin" }, (observed) =>
        DriverClient.connected(
          driver,
          Call.call({
            operation: name,
            namespace: "admin",
            settleTimeout: settings.settleTimeout,
            onUnsettled: Log.unsettled
          }, ({ signal }) => {
            observed.begins(undefined, constTrue)
            return observed.sends(() => Command.adminCommand(driver, command, signal))
          })
        ))
    }
    const sessionTimeout = Effect.sync(topology.sessionTimeout)
    const keeper = SessionKeeper.make(
      (ids) => Effect.asVoid(adminCommand({ refreshSessions: ids })),
      sessionTimeout,
      settings.keepAlive === false ? {} : settings.keepAlive
    )
    const owed: Service[typeof inner]["owed"] = new Set()
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        const members = keeper.members()
        return Log.leaked(members.filter((member) => member.isOpen()).map(leak)).pipe(
          Effect.zipRight(
            Effect.forEach(members, (member) => member.close, { concurrency: "unbounded", discard: true })
          ),
          Effect.zipRight(settle(owed, settings.closeTimeout, adminCommand))
        )
      })
    )
    if (settings.keepAlive !== false) {
      // Forked last, so that its end comes first when the scope closes.
      yield* Effect.forkScoped(Effect.interruptible(Spans.apart(keeper.run)))
    }
    const known = (orElse: Effect.Effect<Deployment, MongoError>) =>
      Effect.suspend(() => Option.match(topology.known(), { onNone: () => orElse, onSome: Effect.succeed }))
    // One at a time, so that many who open a session at once do not all ask.
    const asking = yield* Effect.makeSemaphore(1)
    const ask = DriverClient.connect(driver).pipe(
      Effect.zipRight(adminCommand({ hello: 1 })),
      Effect.map(topology.learn)
    )
    return {
      ...Inspectable.BaseProto,
      // A log or a message must not show the driver's client, which holds the URL.
      toJSON: () => ({ _id: "MongoClient", database: settings.database }),
      driver,
      database: settings.database,
      sessionTimeout,
      deployment: known(asking.withPermits(1)(known(ask))),
      openSessions: Effect.sync(() => keeper.members().length),
      settleTimeout: settings.settleTimeout,
      timeout: settings.timeout,
      closeTimeout: settings.closeTimeout,
      [inner]: {
        knownDeployment: topology.known,
        knownTimeout: topology.sessionTimeout,
        hasSecureRandom: secureRandom(),
        isClosed: () => closed,
        broken,
        keeper,
        pool: makePool(driver),
        owed,
        db: databases(driver, settings.database),
        databaseName: (name = settings.database ?? driver.options.dbName) => name,
        observer,
        transactions: settings.transactions,
        conflicts: settings.conflicts,
        lifetime: new Lifetime(adminCommand, () => closed),
        unused: once(Log.unused),
        adminCommand
      }
    }
  })

const leak = (member: SessionKeeper.Member): Log.Leak => {
  const { openedIn } = member
  return {
    id: SessionId.fromBytes(member.lsid().id.buffer).uuid,
    ...(openedIn?._tag === "Span" ? { span: openedIn.name } : {}),
    ...(openedIn === undefined ? {} : { traceId: openedIn.traceId, spanId: openedIn.spanId })
  }
}

const mostNames = 1000

// Of so many names at most: a program that makes them up would fill the memory otherwise.
const once = (warn: (name: string) => Effect.Effect<void>) => {
  const known = new Set<string>()
  return (name: string, fiber: RunningFiber): void => {
    if (known.has(name) || known.size >= mostNames) return
    known.add(name)
    Effect.runFork(runAs(fiber.getFiberRefs(), warn(name)))
  }
}

// The driver makes a new one each time, which takes as long as an operation's command.
const databases = (driver: Driver.MongoClient, fallback: string | undefined) => {
  const { writeConcern } = driver.options
  const of = (options: Driver.DbOptions) => {
    const known = new Map<string | undefined, Driver.Db>()
    return (name = fallback): Driver.Db => {
      const kept = known.get(name)
      if (kept !== undefined) return kept
      const db = driver.db(name, options)
      if (known.size >= mostNames) known.clear()
      known.set(name, db)
      return db
    }
  }
  const plain = of({})
  if (writeConcern?.wtimeoutMS === undefined) return plain
  const limited = of({ writeConcern: DriverClient.withoutTimeLimit(writeConcern) })
  return (name?: string, isLimited = false): Driver.Db => isLimited ? limited(name) : plain(name)
}

const closeDriver = (driver: Driver.MongoClient, timeout: Duration.Duration): Effect.Effect<void> =>
  closingStep("client", timeout, Effect.tryPromise(() => driver.close()), errorName)
