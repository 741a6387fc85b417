/**
 * Clients of the driver itself.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { MongoClient } from "mongodb"
import type { MongoClientOptions } from "mongodb"

/** A client of the driver itself, connected to any server. */
export const connect = (
  url: string,
  options?: MongoClientOptions
): Effect.Effect<MongoClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => new MongoClient(url, { serverSelectionTimeoutMS: 5000, ...options }).connect()),
    (client) => Effect.promise(() => client.close())
  )
