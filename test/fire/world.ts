/**
 * What the workloads of a storm work with.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import * as MongoClient from "../../src/MongoClient.js"
import type { Tally } from "../support/watch/tally.js"
import type { Violation } from "./checker/violation.js"
import type * as Dice from "./dice.js"

/** What the workloads of one round work with. */
export interface World {
  /** The database, which is that of the round. */
  readonly database: string
  /** The clients that meet the storm. */
  readonly clients: ReadonlyArray<MongoClient.Service>
  /** A client of the driver that meets none. */
  readonly calm: Driver.MongoClient
  readonly dice: (...part: ReadonlyArray<number>) => Dice.Dice
  /** Whether nothing more is to be begun. */
  readonly isOver: () => boolean
  /** Counts what was done, and how it ended. */
  readonly tally: Tally
  /** Notes what was promised and did not hold. */
  readonly violated: (anomaly: string, detail: string) => void
}

/** Something that is done in a storm, and how it is found out that it was done well. */
export interface Workload {
  readonly name: string
  /** What runs until the round is over. */
  readonly fibers: ReadonlyArray<Effect.Effect<void>>
  /** What is wrong with it when all has ended and the set is whole. */
  readonly check: Effect.Effect<ReadonlyArray<Violation>>
}

/** Makes a workload. */
export type Make = (world: World) => Effect.Effect<Workload, never, Scope.Scope>

/** The client of a fiber. */
export const clientOf = ({ clients }: Pick<World, "clients">, fiber: number): MongoClient.Service =>
  clients[fiber % clients.length]!

/** Runs an effect with a client of the storm. */
export const on =
  (client: MongoClient.Service) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, MongoClient.MongoClient>> =>
    Effect.provideService(effect, MongoClient.MongoClient, client)

/** Repeats a step until the round is over. */
export const untilOver = <R>({ isOver }: Pick<World, "isOver">, step: Effect.Effect<void, never, R>) =>
  Effect.suspend(() => isOver() ? Effect.void : Effect.zipLeft(step, afterIO)).pipe(Effect.repeat({ until: isOver }))

// Steps that fail at once, over and over, would leave no moment in which a reply is read that others wait for.
const afterIO = Effect.async<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})
