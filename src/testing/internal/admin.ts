/**
 * Commands that the library's test server sends to a deployment, each by a client of its own that nobody else sees.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Document, MongoClient, MongoClientOptions } from "mongodb"
import { makeClient } from "../../internal/driver/client.js"
import type { MemberPlan, Plan } from "./mongods.js"
import { hostOf, tlsOptions } from "./mongods.js"
import { WayFailed } from "./way.js"

/** Sends commands to the database `admin` of the deployment or member. */
export type Send = (command: Document) => Effect.Effect<Document, WayFailed>

/** Uses a client on any deployment. */
export const withUrl = <A, E>(
  url: string,
  options: MongoClientOptions,
  use: (send: Send) => Effect.Effect<A, E>
): Effect.Effect<A, E | WayFailed> =>
  Effect.acquireUseRelease(
    Effect.mapError(makeClient(Redacted.make(url), { appName: "MongoServer", ...options }), (error) =>
      new WayFailed({ reason: error.message, fix: "correct the connection string" })),
    (client) =>
      use(sendBy(client)),
    (client) =>
      Effect.ignore(Effect.timeout(Effect.interruptible(Effect.tryPromise(() => client.close())), "5 seconds"))
  )

/** Uses a client on one member, whatever its state. A frozen member fails it after a second. */
export const withMember = <A, E>(
  plan: Plan,
  member: MemberPlan,
  use: (send: Send) => Effect.Effect<A, E>
): Effect.Effect<A, E | WayFailed> =>
  withUrl(`mongodb://${hostOf(member)}/`, {
    directConnection: true,
    serverSelectionTimeoutMS: 1000,
    connectTimeoutMS: 1000,
    socketTimeoutMS: 30_000,
    ...(plan.key === undefined ? {} : {
      auth: { username: "__system", password: plan.key },
      authSource: "local",
      authMechanism: "SCRAM-SHA-256"
    }),
    ...tlsOptions(plan)
  }, use)

/** The options of a client that waits as long as a server may take to start. */
export const patient = (limit: Duration.DurationInput): MongoClientOptions => ({
  serverSelectionTimeoutMS: Duration.toMillis(limit)
})

const sendBy = (client: MongoClient): Send => (command) =>
  Effect.tryPromise({
    try: () => client.db("admin").command(command),
    catch: (cause) =>
      new WayFailed({
        reason: `the server did not do \`${Object.keys(command)[0]}\`: ${
          cause instanceof Error ? cause.message : String(cause)
        }`,
        fix: "is it a MongoDB server that takes writes, and are the credentials right?",
        code: typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
      })
  })
