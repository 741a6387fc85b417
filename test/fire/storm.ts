/**
 * A storm: rounds in which workloads run while things go wrong, each with a database of its own and checked when it is over.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { MongoClient as Driver } from "mongodb"
import * as MongoClient from "../../src/MongoClient.js"
import type { MongoError } from "../../src/MongoError.js"
import { connect } from "../support/server/clients.js"
import { type Monitor, watch } from "../support/watch/commands.js"
import type { Tally } from "../support/watch/tally.js"
import type { Violation } from "./checker/violation.js"
import { driverOptions } from "./counter.js"
import * as Dice from "./dice.js"
import * as Faults from "./faults.js"
import * as Late from "./late.js"
import * as Nemesis from "./nemesis.js"
import { appName, type StormSet } from "./set.js"
import type { Make, World } from "./world.js"

/** What a storm counts. */
export interface Counts {
  readonly faults: Tally
  readonly operations: Tally
}

/** A round of a storm. */
export interface Round {
  readonly seed: number
  /** How long the workloads run. */
  readonly millis: number
  readonly workloads: ReadonlyArray<Make>
  readonly counts: Counts
  /** What goes wrong. Default: what follows from the seed. */
  readonly faults?: Faults.Plan | undefined
  /** How long what runs may take to end when the set is whole again. Default: 90 seconds. */
  readonly patience?: Duration.DurationInput | undefined
}

/** The clients of a storm, and what they do. */
export interface Clients {
  readonly services: ReadonlyArray<MongoClient.Service>
  readonly monitors: ReadonlyArray<Monitor>
  readonly isLate: Late.IsLate
  readonly calm: Driver
}

/** Connects so many clients through the networks, and one that meets no storm. */
export const clients = (set: StormSet, count: number): Effect.Effect<Clients, MongoError, Scope.Scope> =>
  Effect.gen(function*() {
    const services = yield* Effect.forEach(Array.from({ length: count }), () =>
      MongoClient.make({
        url: Redacted.make(set.server.url),
        driver: driverOptions
      }))
    return {
      services,
      monitors: services.map(({ driver }) => watch(driver)),
      isLate: Late.watch(services.map(({ driver }) => driver)),
      calm: yield* connect(set.server.url, { appName: "storm-check", serverSelectionTimeoutMS: 180_000 })
    }
  })

/** Runs a round, and gives what did not hold. */
export const round = (
  set: StormSet,
  { calm, isLate, monitors, services }: Clients,
  { counts, faults, millis, patience = "90 seconds", seed, workloads }: Round
): Effect.Effect<ReadonlyArray<Violation>> =>
  Effect.scoped(Effect.gen(function*() {
    const violations: Array<Violation> = []
    const violated = (anomaly: string, detail: string) => void violations.push({ anomaly, detail })
    let isOver = false
    const world: World = {
      database: `storm_${seed}`,
      clients: services,
      calm,
      dice: (...part) => Dice.make(seed, ...part),
      isOver: () => isOver,
      tally: counts.operations,
      violated
    }
    const made = yield* Effect.forEach(workloads, (make) => make(world))
    // Where the storm fails, nothing of it may go on with clients that are closed. What is stuck is not waited for.
    const running = yield* Effect.acquireRelease(
      Effect.forkDaemon(Effect.interruptible(
        Effect.all(made.flatMap(({ fibers }) => fibers), { concurrency: "unbounded" })
      )),
      (fiber) => Effect.zipRight(Effect.sync(() => isOver = true), Fiber.interruptFork(fiber))
    )
    const looking = yield* Effect.forkScoped(Effect.forever(Effect.delay(overlaps(monitors, violated), "500 millis")))
    const nemesis = yield* Effect.forkScoped(Nemesis.run(set, faults ?? Faults.plan(seed, millis), counts.faults))
    // Where it fails by itself, the storm cannot go on.
    yield* Effect.raceFirst(Effect.sleep(millis), Effect.zipRight(Fiber.join(nemesis), Effect.never))
    yield* Fiber.interrupt(nemesis)
    yield* Nemesis.revive(set, counts.faults)
    isOver = true
    // The set is whole again; what waits for it ends soon.
    const ended = yield* Effect.timeoutOption(Fiber.await(running), patience)
    if (ended._tag === "None") violated("stuck", `not over ${Duration.format(patience)} after the storm`)
    yield* Fiber.interruptFork(running)
    yield* Fiber.interrupt(looking)
    yield* overlaps(monitors, violated)
    const late = yield* left(calm, services, isLate, violated)
    if (late > 0) counts.operations.add("transactions that a held command has started late", late)
    for (const { check, name } of made) {
      const found = yield* check
      violations.push(...found.map(({ anomaly, detail }) => ({ anomaly: `${name}: ${anomaly}`, detail })))
    }
    yield* Effect.promise(() => calm.db(world.database).dropDatabase())
    return violations
  }))

// Two commands of one session in flight at once.
const overlaps = (monitors: ReadonlyArray<Monitor>, violated: World["violated"]) =>
  Effect.forEach(monitors, ({ clear, overlaps }) =>
    Effect.map(Effect.zipLeft(overlaps, clear), (found) => {
      for (const [one, other] of found) violated("overlap", `${one.name} and ${other.name} in one session`)
    }), { discard: true })

// Open transactions on the server, and open sessions of the library. What is aborted in the background takes a moment.
const left = (
  calm: Driver,
  services: ReadonlyArray<MongoClient.Service>,
  isLate: Late.IsLate,
  violated: World["violated"]
) =>
  Effect.gen(function*() {
    const transactions = Effect.promise(() =>
      calm.db("admin").aggregate<Late.Open>([
        { $currentOp: { allUsers: true, idleSessions: true } },
        {
          $match: { transaction: { $exists: true }, $or: [{ appName }, { "clientMetadata.application.name": appName }] }
        }
      ]).toArray()
    )
    const open = yield* Effect.repeat(Effect.delay(transactions, "100 millis"), {
      until: (open) => open.every(isLate),
      times: 150
    })
    const late = open.filter(isLate).length
    if (late < open.length) violated("left open", `${open.length - late} transactions on the server`)
    // What is to be looked at next would wait for their locks.
    if (open.length > 0) yield* Effect.promise(() => calm.db("admin").command({ killAllSessions: [] }))
    const sessions = yield* Effect.forEach(services, ({ openSessions }) => openSessions)
    if (sessions.some((count) => count > 0)) violated("left open", `${sessions.join(", ")} sessions of the clients`)
    return late
  })
