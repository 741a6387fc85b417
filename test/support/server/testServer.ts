/**
 * The server that all integration tests of a worker share, as a layer.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { MongoClient, MongoClientOptions } from "mongodb"
import { randomBytes } from "node:crypto"
import { inject } from "vitest"
import * as MongoServer from "../../../src/testing/MongoServer.js"
import * as Vitest from "../../../src/testing/vitest.js"
import { connect } from "./clients.js"

export { connect } from "./clients.js"

/** The server of the worker that runs the file; in the folder `cluster` a set of three. */
export const layer: Layer.Layer<MongoServer.MongoServer, MongoServer.MongoServerUnavailable> = Layer.suspend(() => {
  const servers: ReadonlyArray<Vitest.Shared> = inject("testServers") ?? []
  const mine = servers[(Number(process.env["VITEST_POOL_ID"] ?? 1) - 1) % servers.length]
  return mine?._tag === "Running"
    ? Layer.succeed(MongoServer.MongoServer, MongoServer.fromHandle(mine.handle))
    : Vitest.layer
})

/**
 * A server for one test file alone. A test that sets fail points, ends other clients' sessions or looks at what the
 * server has open needs it, since all that concerns a whole server.
 */
export const own = (
  options?: MongoServer.Options
): Layer.Layer<MongoServer.MongoServer, MongoServer.MongoServerUnavailable> =>
  MongoServer.layer({ onProgress: () => Effect.void, ...options })

/** A client of the driver itself, connected to the server. */
export const driver = (
  options?: MongoClientOptions
): Effect.Effect<MongoClient, never, MongoServer.MongoServer | Scope.Scope> =>
  Effect.flatMap(MongoServer.MongoServer, ({ url }) => connect(url, options))

/** The name of a database that nobody else has. It is dropped with the server, for dropping takes 100 ms. */
export const database: Effect.Effect<string> = Effect.sync(() => `test_${randomBytes(8).toString("hex")}`)
