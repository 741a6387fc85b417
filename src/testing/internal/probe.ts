/**
 * Asks a running deployment for its version, kind and features.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Admin from "./admin.js"
import type { WayFailed } from "./way.js"

/** What is learned from a deployment before it is used. */
export interface Answers {
  /** The version of MongoDB. */
  readonly version: string
  /** Whether it is a replica set. */
  readonly isReplicaSet: boolean
  /** Whether it is a router of a sharded cluster. */
  readonly isSharded: boolean
  /** How many members of the set hold data and can become primary; 1 where it is no set. */
  readonly members: number
  /** Whether test commands are enabled. */
  readonly hasFailPoints: boolean
}

/** Waits until the deployment has a primary, and asks what it is. */
export const ask = (url: string, timeout: Duration.DurationInput): Effect.Effect<Answers, WayFailed> =>
  Admin.withUrl(url, Admin.patient(timeout), (send) =>
    Effect.gen(function*() {
      const hello = yield* send({ hello: 1 })
      const build = yield* send({ buildInfo: 1 })
      const hasFailPoints = yield* Effect.match(send({ configureFailPoint: nobodys, mode: "off" }), {
        onFailure: ({ code }) => code === failPointSetFailed,
        onSuccess: () => true
      })
      return {
        version: String(build["version"]),
        isReplicaSet: typeof hello["setName"] === "string",
        isSharded: hello["msg"] === "isdbgrid",
        members: Array.isArray(hello["hosts"]) ? hello["hosts"].length : 1,
        hasFailPoints
      }
    }))

// No server has it. The question by the name of a real fail point would switch off what another program has set.
const nobodys = "effectMongoSessionAsks"

// How a server with test commands says that it has no fail point of that name. One without them does not know the command.
const failPointSetFailed = 266
