/**
 * Checks causal tokens: that a token is one, and how far ahead of the clock it may lie.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { CausalToken } from "../../CausalToken.js"
import { CausalTokenRefused, type SessionEnded, type SessionMisconfigured } from "../../SessionErrors.js"
import { readable, reading, timeFromZero } from "../values/options.js"

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
) => Effect.Effect<void, SessionEnded | SessionMisconfigured | CausalTokenRefused>

/**
 * A token as it was read, once. Refuses what is none, and one that lies too far ahead. By the clock alone: what the session has
 * seen may itself be what an earlier token told it, and would let the next one go further.
 */
export const checked = (
  given: CausalToken,
  options?: AdvanceOptions
): Effect.Effect<CausalToken, SessionMisconfigured | CausalTokenRefused> =>
  Effect.flatMap(Either.all([tokenOf(given), maxAheadOf(options)]), ([token, maxAhead]) => {
    const ahead = Duration.millis(latestMillis(token) - system.unsafeCurrentTimeMillis())
    return Duration.greaterThan(ahead, maxAhead)
      ? new CausalTokenRefused({ ahead, maxAhead })
      : Effect.succeed(token)
  })

// Whatever the types say.
const tokenOf = (given: CausalToken): Either.Either<CausalToken, SessionMisconfigured> =>
  reading(() =>
    given instanceof CausalToken
      ? Either.right(new CausalToken(given))
      : Either.left([{ path: [], message: "expected a CausalToken; `CausalToken.decode` reads one from its text" }])
  )

const maxAheadOf = (options?: AdvanceOptions): Either.Either<Duration.Duration, SessionMisconfigured> =>
  Either.flatMap(
    readable(options),
    ({ maxAhead = defaultMaxAhead }: AdvanceOptions = {}) =>
      reading(() =>
        Either.fromOption(
          timeFromZero(maxAhead),
          () => [{ path: ["maxAhead"], message: "expected a time of at least 0, or Infinity" }]
        )
      )
  )

// Servers tell the machine's time, also to a test in virtual time.
const system = Clock.make()

const defaultMaxAhead = Duration.minutes(5)

// A BSON timestamp has seconds since 1970 in its upper half.
const latestMillis = ({ clusterTime, operationTime }: CausalToken): number => {
  const times = [...Option.toArray(operationTime), ...Option.toArray(Option.map(clusterTime, ({ time }) => time))]
  return Math.max(0, ...times.map((time) => Number(time >> 32n) * 1000))
}
