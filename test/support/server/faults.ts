/**
 * Pairs of tests: one shows a fault of the driver, the other that this library works around it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import { expect } from "vitest"
import { Label } from "../../../src/MongoError.js"
import * as Responder from "./responder.js"
import * as TestServer from "./testServer.js"

/**
 * Expectations of what shows a fault of the driver. One that fails says that the driver may have mended it, and what
 * could go then.
 */
export const shownBy = (correction: string) => <A>(actual: A) =>
  expect(actual, `the driver no longer has this fault: see whether ${correction} can go`)

/** A scripted server, and a client of the driver itself. */
export interface Raw {
  readonly server: Responder.Responder
  readonly driver: Driver.MongoClient
}

/** Starts a scripted server, and connects the driver to it. */
export const raw = (
  server: Responder.Options = {},
  options: Driver.MongoClientOptions = {}
): Effect.Effect<Raw, never, Scope.Scope> =>
  Effect.flatMap(
    Responder.make(server),
    (responder) => Effect.map(TestServer.connect(responder.url, options), (driver) => ({ server: responder, driver }))
  )

/** What a promise is rejected with; what it gives is no failure, and fails the test. */
export const rejection = (run: () => Promise<unknown>): Effect.Effect<unknown> =>
  Effect.promise(() =>
    run().then(
      (value) => {
        throw new Error(`nothing was wrong, and the result was ${String(value)}`)
      },
      (error: unknown) => error
    )
  )

/** What the driver's own `withTransaction` is rejected with. */
export const rejectedTransaction = (
  driver: Driver.MongoClient,
  body: (session: Driver.ClientSession) => Promise<unknown>
): Effect.Effect<unknown> =>
  rejection(() => driver.withSession((session) => session.withTransaction(() => body(session))))

/** A driver session for the time of a promise. */
export const inSession = <A>(
  driver: Driver.MongoClient,
  options: Driver.ClientSessionOptions,
  use: (session: Driver.ClientSession) => Promise<A>
): Effect.Effect<A> =>
  Effect.acquireUseRelease(
    Effect.sync(() => driver.startSession(options)),
    (session) => Effect.promise(() => use(session)),
    (session) => Effect.promise(() => session.endSession())
  )

/** The reply of a server that cannot do it now, with the label that allows to run the whole transaction again. */
export const transient = {
  ok: 0,
  code: 251,
  codeName: "NoSuchTransaction",
  errmsg: "no such transaction",
  errorLabels: [Label.TransientTransactionError]
}

/** The read concerns of all commands of a name, in order. */
export const readConcerns = (server: Responder.Responder, name: string) =>
  Effect.map(
    server.named(name),
    (seen) => seen.map(({ command }) => command["readConcern"] as Driver.Document | undefined)
  )

/**
 * The clock that the driver measures its time limits with, for the time of a scope: goes on as ever, but can be put forward.
 * Drivers take the time since the process started, older ones that since the machine did.
 */
export const driverClock: Effect.Effect<
  { readonly adjust: (by: Duration.DurationInput) => void },
  never,
  Scope.Scope
> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const { hrtime } = process
      const now = performance.now.bind(performance)
      const clock = { ahead: 0 }
      performance.now = () => now() + clock.ahead
      const shifted = (since?: [number, number]): [number, number] => {
        const [seconds, nanos] = hrtime(since)
        return [seconds + (since === undefined ? clock.ahead / 1000 : 0), nanos]
      }
      process.hrtime = Object.assign(shifted, { bigint: hrtime.bigint })
      const restore = () => {
        Reflect.deleteProperty(performance, "now")
        process.hrtime = hrtime
      }
      return { clock, restore }
    }),
    ({ restore }) => Effect.sync(restore)
  ),
  ({ clock }) => ({ adjust: (by) => void (clock.ahead += Duration.toMillis(by)) })
)
