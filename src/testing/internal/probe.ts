/**
 * What a running server says about itself.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { MongoClient, MongoClientOptions } from "mongodb"
import { makeClient } from "../../internal/driver.js"
import type { Credentials } from "./way.js"
import { WayFailed } from "./way.js"

/** What is learned from a server before it is used. */
export interface Answers {
  /** The version of MongoDB that the server is, or says it is compatible with. */
  readonly version: string
  /** The release of SecantusDB, if it is one. */
  readonly secantus: string | undefined
  /** Whether it is a member of a replica set. */
  readonly isReplicaSet: boolean
  /** Whether it is a router of a sharded cluster. */
  readonly isSharded: boolean
  /** Whether test commands are enabled. */
  readonly hasFailPoints: boolean
}

/** Waits until the server answers `hello` as one that takes writes, and asks what it is. */
export const ask = (url: string, timeout: Duration.DurationInput): Effect.Effect<Answers, WayFailed> =>
  withClient(url, { serverSelectionTimeoutMS: Duration.toMillis(timeout) }, (client) =>
    Effect.gen(function*() {
      const admin = client.db("admin")
      const hello = yield* command("hello", () => admin.command({ hello: 1 }))
      const build = yield* command("buildInfo", () => admin.command({ buildInfo: 1 }))
      const failPoints = yield* Effect.isSuccess(
        command("configureFailPoint", () => admin.command({ configureFailPoint: "failCommand", mode: "off" }))
      )
      return {
        version: String(build["version"]),
        secantus: typeof build["secantusVersion"] === "string" ? build["secantusVersion"] : undefined,
        isReplicaSet: typeof hello["setName"] === "string",
        isSharded: hello["msg"] === "isdbgrid",
        hasFailPoints: failPoints
      }
    }))

/** Makes the user that access control will know, on a server that has none yet; its data are on the disk afterwards. */
export const addUser = (url: string, credentials: Credentials): Effect.Effect<void, WayFailed> =>
  withClient(url, {}, (client) => {
    const admin = client.db("admin")
    const user = { pwd: credentials.password, roles: ["root"] }
    return command("createUser", () => admin.command({ createUser: credentials.username, ...user })).pipe(
      // the storage of an earlier run has the user, perhaps with another password
      Effect.orElse(() => command("updateUser", () => admin.command({ updateUser: credentials.username, ...user }))),
      Effect.zipRight(command("fsync", () => admin.command({ fsync: 1 })))
    )
  })

const withClient = <A>(
  url: string,
  options: MongoClientOptions,
  use: (client: MongoClient) => Effect.Effect<A, WayFailed>
): Effect.Effect<A, WayFailed> =>
  Effect.acquireUseRelease(
    Effect.mapError(makeClient(Redacted.make(url), { appName: "MongoServer", ...options }), (error) =>
      new WayFailed({ reason: error.message, fix: "correct the connection string" })),
    use,
    (client) =>
      Effect.ignore(Effect.timeout(Effect.tryPromise(() => client.close()), "5 seconds"))
  )

const command = <A>(name: string, run: () => Promise<A>): Effect.Effect<A, WayFailed> =>
  Effect.tryPromise({
    try: run,
    catch: (cause) =>
      new WayFailed({
        reason: `the server did not do \`${name}\`: ${cause instanceof Error ? cause.message : String(cause)}`,
        fix: "is it a MongoDB server that takes writes, and are the credentials right?"
      })
  })
