/**
 * The server that all integration tests of a run share.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { MongoClient } from "mongodb"
import type { MongoClientOptions } from "mongodb"
import { randomBytes } from "node:crypto"
import type { TestContext } from "vitest"
import { inject } from "vitest"
import { withUser } from "../../src/testing/internal/way.js"
import * as MongoServer from "../../src/testing/MongoServer.js"

/** The shared server, started by `global-server.ts`. */
export const layer: Layer.Layer<MongoServer.MongoServer, MongoServer.MongoServerUnavailable> = Layer.effect(
  MongoServer.MongoServer,
  Effect.suspend(() => {
    const shared = inject("testServer")
    return shared._tag === "Running"
      ? Effect.succeed({
        ...shared.server,
        urlAs: (credentials) => withUser(shared.server.url, credentials)
      })
      : new MongoServer.MongoServerUnavailable({ attempts: shared.attempts })
  })
)

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

/** A client of the driver itself, connected to any server. */
export const connect = (
  url: string,
  options?: MongoClientOptions
): Effect.Effect<MongoClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => new MongoClient(url, { serverSelectionTimeoutMS: 5000, ...options }).connect()),
    (client) => Effect.promise(() => client.close())
  )

/** A database that nobody else has; it is dropped when the scope closes. */
export const database: Effect.Effect<string, never, MongoServer.MongoServer | Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => `test_${randomBytes(8).toString("hex")}`),
  (name) => Effect.scoped(Effect.flatMap(driver(), (client) => Effect.promise(() => client.db(name).dropDatabase())))
)

/** Skips the test, with the reason, on a server that cannot do what it needs. */
export const needs = (
  context: TestContext,
  feature: keyof MongoServer.Features
): Effect.Effect<void, never, MongoServer.MongoServer> =>
  Effect.map(MongoServer.MongoServer, ({ description, features }) => {
    if (features[feature]) return
    const reason = `${description} lacks the feature ${feature}`
    context.task.meta.skipReason = reason
    context.skip(reason)
  })
