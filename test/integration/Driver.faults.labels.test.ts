/**
 * A fault of the driver in transactions whose commands do not get to a server, as pairs: the driver as it is, then this
 * library. The others are in the files beside this one.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import * as Collection from "../../src/Collection.js"
import { Label } from "../../src/MongoError.js"
import type * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { on } from "../support/data/collections.js"
import { clientOf, comeBack, goDown } from "../support/server/connected.js"
import { rejectedTransaction as rejected, shownBy } from "../support/server/faults.js"
import * as Responder from "../support/server/responder.js"
import * as TestServer from "../support/server/testServer.js"

const insert = Collection.make("things", { database: "test" }).insertOne({ n: 1 })

const thingsOf = (driver: Driver.MongoClient) => driver.db("test").collection("things")

/** Something that keeps a transaction's commands from the server. */
interface Trouble {
  readonly server: Responder.Responder
  /** Brings the client into trouble. */
  readonly begin: (driver: Driver.MongoClient) => Effect.Effect<void>
  readonly end: (driver: Driver.MongoClient) => Effect.Effect<void>
}

const unreachable: Effect.Effect<Trouble, never, Scope.Scope> = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const first = yield* Effect.acquireRelease(Scope.make(), (first) => Scope.close(first, Exit.void))
  const server = yield* Scope.extend(Responder.make(), first)
  return {
    server,
    begin: (driver) => goDown({ driver }, Scope.close(first, Exit.void)),
    end: (driver) => comeBack({ driver }, Effect.asVoid(Scope.extend(Responder.make({ port: server.port }), scope)))
  }
})

const crowded: Effect.Effect<Trouble, never, Scope.Scope> = Effect.gen(function*() {
  const server = yield* Responder.make()
  const answer = yield* Deferred.make<Responder.Reply>()
  yield* server.on("ping", () => Deferred.await(answer))
  let ping: Fiber.Fiber<unknown> = Fiber.void
  return {
    server,
    begin: (driver) =>
      Effect.gen(function*() {
        ping = yield* Effect.forkDaemon(Effect.promise(() => driver.db("test").command({ ping: 1 })))
        yield* server.awaitCommand("ping")
      }),
    end: () => Effect.zipRight(Deferred.succeed(answer, {}), Effect.suspend(() => Fiber.join(ping)))
  }
})

const troubles = [
  {
    what: "no server is found",
    trouble: unreachable,
    name: "MongoServerSelectionError",
    reason: "ServerSelectionFailed",
    options: { serverSelectionTimeoutMS: 500, heartbeatFrequencyMS: 500 }
  },
  {
    what: "no connection is free",
    trouble: crowded,
    name: "MongoWaitQueueTimeoutError",
    reason: "PoolFailure",
    options: { maxPoolSize: 1, waitQueueTimeoutMS: 100 }
  }
] as const

for (const { name, options, reason, trouble, what } of troubles) {
  describe(`where ${what} for a transaction`, () => {
    const fault = shownBy(
      "the reasons without a label in internal/transaction/transient and internal/transaction/outcome"
    )

    /** The driver's own `withTransaction`, in whose body the trouble begins; before its last operation, or after it. */
    const ofDriver = (when: "before" | "after") =>
      Effect.gen(function*() {
        const { begin, end, server } = yield* trouble
        const driver = yield* TestServer.connect(server.url, options)
        let runs = 0
        const error = yield* rejected(driver, async (session) => {
          runs++
          await thingsOf(driver).insertOne({}, { session })
          await Effect.runPromise(begin(driver))
          if (when === "before") await thingsOf(driver).insertOne({}, { session })
        })
        expect(error).toMatchObject({ name })
        fault(error).toMatchObject({ errorLabels: [] })
        fault(runs).toBe(1)
        yield* end(driver)
      })

    it.scopedLive("the driver puts no label on the failure of an operation, and does not run it again", () =>
      ofDriver("before"))

    it.scopedLive("this library runs it again, when an operation has failed", () =>
      Effect.gen(function*() {
        const { begin, end, server } = yield* trouble
        const { client } = yield* clientOf(server, { driver: options })
        const { onRetry, retries } = noted(end(client.driver))
        let runs = 0
        const body = Effect.gen(function*() {
          yield* insert
          if (runs++ > 0) return
          yield* begin(client.driver)
          yield* insert
        })
        yield* Transaction.run(body, { onRetry }).pipe(on({ client }))
        expect(retries).toEqual([`body: ${reason}, ${Label.TransientTransactionError}`])
        expect(runs).toBe(2)
      }))

    it.scopedLive("the driver puts no label on the failure of the commit, and does not repeat it", () =>
      ofDriver("after"))

    it.scopedLive("this library repeats the commit", () =>
      Effect.gen(function*() {
        const { begin, end, server } = yield* trouble
        const { client } = yield* clientOf(server, { driver: options })
        const { onRetry, retries } = noted(end(client.driver))
        let runs = 0
        const body = Effect.zipRight(insert, Effect.suspend(() => runs++ > 0 ? Effect.void : begin(client.driver)))
        yield* Transaction.run(body, { onRetry }).pipe(on({ client }))
        expect(retries).toEqual([`commit: ${reason}, ${Label.UnknownTransactionCommitResult}`])
        expect(runs).toBe(1)
      }))
  })
}

/** Tells why a transaction was run again, after an effect that makes that possible. */
const noted = (first: Effect.Effect<void>) => {
  const retries: Array<string> = []
  const onRetry = ({ label, reason, step }: Telemetry.Retry) =>
    Effect.zipRight(first, Effect.sync(() => void retries.push(`${step}: ${reason}, ${label}`)))
  return { retries, onRetry }
}
