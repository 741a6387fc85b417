/**
 * Checks causal tokens: how far ahead of the clock a token may lie.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { CausalToken } from "../../CausalToken.js"
import { CausalTokenRefused, type SessionEnded } from "../../SessionErrors.js"

/**
 * How a session takes a causal token.
 *
 * @since 0.1.0
 * @category options
 */
export interface AdvanceOptions {
  /**
   * How far the token may lie ahead of this machine's clock. Clocks differ, but not by much; a server takes what is up to a
   * year ahead (`maxAcceptableLogicalClockDriftSecs`). `Infinity` takes any. Default: 5 minutes.
   */
  readonly maxAhead?: Duration.DurationInput | undefined
}

/** Goes on from a causal token. */
export type Advance = (
  token: CausalToken,
  options?: AdvanceOptions
) => Effect.Effect<void, SessionEnded | CausalTokenRefused>

/**
 * Refuses a token that lies too far ahead. By the clock alone: what the session has seen may itself be what an earlier token
 * told it, and would let the next one go further.
 */
export const refuseAhead = (
  token: CausalToken,
  { maxAhead = defaultMaxAhead }: AdvanceOptions = {}
): Effect.Effect<void, CausalTokenRefused> =>
  Effect.suspend(() => {
    const ahead = Duration.millis(latestMillis(token) - system.unsafeCurrentTimeMillis())
    return Duration.greaterThan(ahead, maxAhead)
      ? new CausalTokenRefused({ ahead, maxAhead: Duration.decode(maxAhead) })
      : Effect.void
  })

// Servers tell the machine's time, also to a test in virtual time.
const system = Clock.make()

const defaultMaxAhead = Duration.minutes(5)

// A BSON timestamp has seconds since 1970 in its upper half.
const latestMillis = ({ clusterTime, operationTime }: CausalToken): number => {
  const times = [...Option.toArray(operationTime), ...Option.toArray(Option.map(clusterTime, ({ time }) => time))]
  return Math.max(0, ...times.map((time) => Number(time >> 32n) * 1000))
}
