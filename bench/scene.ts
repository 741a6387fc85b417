/**
 * Connects the clients that the arms of a group use, and repeats operations on them.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import * as EffectSchema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as MongoDB from "mongodb"
import type * as Connection from "../src/MongoClient.js"
import type { MongoError } from "../src/MongoError.js"
import type * as Ambient from "../src/Session.js"
import type { AcquireError } from "../src/SessionErrors.js"
import type { Guarded } from "./arms/guarded.js"
import { MongoClient, Session } from "./library.js"
import type { Arm } from "./rounds.js"

/** The kinds of arms that do without the library. */
export type Apart = "raw" | "control" | "bare" | "guarded"

/** Connected clients, all with the same options. Each kind of arm has its own client, so no arm pays for another. */
export interface Scene {
  /** The client of the library, for the arms that use it. */
  readonly client: Connection.Service
  /** Clients of the driver that the library does not know, so none of its listeners slows their arms down. */
  readonly drivers: Readonly<Record<Apart, MongoDB.MongoClient>>
  /** Runs an effect that needs the client, in a fiber of its own. */
  readonly run: <A, E>(effect: Effect.Effect<A, E, Connection.MongoClient | Scope.Scope>) => Promise<A>
}

/** Makes the arms of a group. */
export type Arms = (
  scene: Scene
) => Effect.Effect<ReadonlyArray<Arm>, AcquireError, Connection.MongoClient | Scope.Scope>

/** Connects, makes the arms, and hands them over. */
export const withArms = <A>(
  url: string,
  options: Omit<Connection.Options, "url">,
  make: Arms,
  use: (arms: ReadonlyArray<Arm>) => Promise<A>
): Effect.Effect<A, AcquireError | MongoError> =>
  Effect.gen(function*() {
    const client = yield* MongoClient.MongoClient
    const runtime = yield* Effect.runtime<Connection.MongoClient | Scope.Scope>()
    // A second copy of the driver would make the comparison unfair.
    if (!(client.driver instanceof MongoDB.MongoClient)) return yield* Effect.dieMessage("there are two drivers")
    const drivers = yield* Effect.all({
      raw: connect(url, options.driver),
      control: connect(url, options.driver),
      bare: connect(url, options.driver),
      guarded: connect(url, options.driver)
    })
    const arms = yield* make({ client, drivers, run: (effect) => Runtime.runPromise(runtime)(effect) })
    return yield* Effect.promise(() => use(arms))
  }).pipe(
    Effect.scoped,
    Effect.provide(MongoClient.layer({ ...options, url: Redacted.make(url) }))
  )

const connect = (
  url: string,
  options: MongoDB.MongoClientOptions = {}
): Effect.Effect<MongoDB.MongoClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => new MongoDB.MongoClient(url, options).connect()),
    (driver) => Effect.promise(() => driver.close())
  )

/** What several repeat together takes its turns from here. */
export const countdown = (times: number): { readonly next: () => boolean } => {
  let left = times
  return { next: () => left-- > 0 }
}

/** The raw arm twice, each with a client of its own. Their difference is noise. */
export const rawTwice = (
  { drivers }: Scene,
  make: (driver: MongoDB.MongoClient) => Arm["run"]
): ReadonlyArray<Arm> => [
  { name: "raw", run: make(drivers.raw) },
  { name: "control", run: make(drivers.control) }
]

/** The raw arms: repeats it in so many sessions of the driver at once. */
export const raw = (
  scene: Scene,
  sessions: number,
  make: (driver: MongoDB.MongoClient) => (session: MongoDB.ClientSession, place: number) => Promise<unknown>
): ReadonlyArray<Arm> =>
  rawTwice(scene, (driver) => {
    const body = make(driver)
    const opened = Array.from({ length: sessions }, () => driver.startSession())
    return async (times) => {
      const turns = countdown(times)
      await Promise.all(opened.map(async (session, place) => {
        while (turns.next()) await body(session, place)
      }))
    }
  })

/** An arm of ours: repeats it in so many sessions at once, which are ambient. */
export const ours = <A, E>(
  { run }: Scene,
  name: string,
  sessions: number,
  body: (place: number) => Effect.Effect<A, E, Connection.MongoClient | Ambient.Session>
): Effect.Effect<Arm, AcquireError, Connection.MongoClient | Scope.Scope> =>
  Effect.gen(function*() {
    const opened = yield* Effect.forEach(Array.from({ length: sessions }), () => Session.make())
    return {
      name,
      run: (times) => {
        const repeat = repeating(times)
        return run(atOnce(opened.map((session, place) => Session.provide(repeat(() => body(place)), session))))
      }
    }
  })

/** An arm of nothing but Effect and the driver: repeats it in so many sessions of the driver at once. */
export const bare = <A, E>(
  { drivers, run }: Scene,
  name: string,
  sessions: number,
  make: (driver: MongoDB.MongoClient) => (session: MongoDB.ClientSession, place: number) => Effect.Effect<A, E>
): Arm => {
  const opened = Array.from({ length: sessions }, () => drivers.bare.startSession())
  return apart(run, name, opened, make(drivers.bare))
}

/** An arm of plain Effect code that promises what the library does: repeats it in so many sessions at once. */
export const guarded = <A, E>(
  { drivers, run }: Scene,
  sessions: number,
  make: (driver: MongoDB.MongoClient) => (guarded: Guarded, place: number) => Effect.Effect<A, E>
): Arm => {
  const opened = Array.from(
    { length: sessions },
    (): Guarded => ({ session: drivers.guarded.startSession(), turn: Effect.unsafeMakeSemaphore(1) })
  )
  return apart(run, "guarded", opened, make(drivers.guarded))
}

const apart = <S, A, E>(
  run: Scene["run"],
  name: string,
  opened: ReadonlyArray<S>,
  body: (session: S, place: number) => Effect.Effect<A, E>
): Arm => {
  return {
    name,
    run: (times) => {
      const repeat = repeating(times)
      return run(atOnce(opened.map((session, place) => repeat(() => body(session, place)))))
    }
  }
}

// They take their turns from one countdown.
const repeating = (times: number) => {
  const { next } = countdown(times)
  return <A, E, R>(body: () => Effect.Effect<A, E, R>): Effect.Effect<void, E, R> =>
    Effect.whileLoop({ while: next, body, step: () => undefined })
}

const atOnce = <E, R>(effects: ReadonlyArray<Effect.Effect<void, E, R>>): Effect.Effect<void, E, R> =>
  Effect.all(effects, { concurrency: "unbounded", discard: true })

/** The documents that the null responder has. */
export const Person = EffectSchema.Struct({
  _id: EffectSchema.Number,
  name: EffectSchema.String,
  score: EffectSchema.Number
})
