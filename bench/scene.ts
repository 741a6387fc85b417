/**
 * What the arms of a group are made of: a connected client of the library, and ways to repeat.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import * as EffectSchema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as MongoDB from "mongodb"
import type * as Connection from "../src/MongoClient.js"
import type { MongoError } from "../src/MongoError.js"
import type * as Ambient from "../src/Session.js"
import type { AcquireError } from "../src/SessionErrors.js"
import { MongoClient, Session } from "./library.js"
import type { Arm } from "./rounds.js"

/** A connected client. Raw and ours share the driver's client below it, so that they share its connections. */
export interface Scene {
  readonly client: Connection.Service
  readonly driver: MongoDB.MongoClient
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
    const arms = yield* make({ client, driver: client.driver, run: (effect) => Runtime.runPromise(runtime)(effect) })
    return yield* Effect.promise(() => use(arms))
  }).pipe(
    Effect.scoped,
    Effect.provide(MongoClient.layer({ ...options, url: Redacted.make(url) }))
  )

/** What several repeat together takes its turns from here. */
export const countdown = (times: number): { readonly next: () => boolean } => {
  let left = times
  return { next: () => left-- > 0 }
}

/** The arm under two names, so that the noise can be told from a difference. */
export const rawTwice = (run: Arm["run"]): ReadonlyArray<Arm> => [{ name: "raw", run }, { name: "control", run }]

/** The raw arms: repeats it in so many sessions of the driver at once. */
export const raw = (
  { driver }: Scene,
  sessions: number,
  body: (session: MongoDB.ClientSession, place: number) => Promise<unknown>
): ReadonlyArray<Arm> => {
  const opened = Array.from({ length: sessions }, () => driver.startSession())
  return rawTwice(async (times) => {
    const turns = countdown(times)
    await Promise.all(opened.map(async (session, place) => {
      while (turns.next()) await body(session, place)
    }))
  })
}

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
  { driver, run }: Scene,
  name: string,
  sessions: number,
  body: (session: MongoDB.ClientSession, place: number) => Effect.Effect<A, E>
): Arm => {
  const opened = Array.from({ length: sessions }, () => driver.startSession())
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
