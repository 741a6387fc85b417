/**
 * What happens when a session has lapsed: its next operation fails with `SessionLapsed`, or the session is renewed.
 */
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import { SessionLapsed } from "../../SessionErrors.js"
import type * as SessionOptions from "../../SessionOptions.js"
import * as Log from "../telemetry/log.js"
import * as Time from "../time/clock.js"
import type * as MongoClient from "./client.js"
import { closeCursors } from "./close.js"

/** A session that may lapse. */
interface Lapsing {
  readonly client: MongoClient.Service
  readonly options: SessionOptions.Decoded
  readonly session: Driver.ClientSession
  /** Notes that the session has lapsed, and says whether that is news. */
  readonly noteLapse: () => boolean
  /** Replaces the driver session by another one. */
  readonly renew: (now: Time.Instant) => void
}

/** Renews a session that has lapsed, with `onLapse: "renew"`; otherwise fails the operation that was to begin. */
export const lapsed = (of: Lapsing, operation: string, lapse: Time.Lapse): Effect.Effect<void, SessionLapsed> =>
  Effect.zipRight(
    Effect.when(Log.lapsed(1, lapse.timeout), () => of.noteLapse()),
    // The server has aborted a transaction of the session. The rest of it must not run outside of a transaction.
    of.options.onLapse === "renew" && !of.session.inTransaction()
      ? renew(of)
      : Effect.fail(new SessionLapsed({ operation, ...lapse }))
  )

const renew = (of: Lapsing): Effect.Effect<void> =>
  Effect.uninterruptible(
    Effect.zipRight(closeCursors(of.client, of.session), Effect.map(Time.now, (now) => of.renew(now)))
  )
