/**
 * The options of a client that are this library's own, decoded.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { MongoError } from "../../MongoError.js"
import type * as SessionKeeper from "../../SessionKeeper.js"

interface Undecoded {
  readonly database?: string | undefined
  readonly keepAlive?: SessionKeeper.Options | false | undefined
  readonly closeTimeout?: Duration.DurationInput | undefined
  readonly settleTimeout?: Duration.DurationInput | undefined
  readonly timeout?: Duration.DurationInput | undefined
}

/** The options that a client has, with every default filled in. */
export interface Settings {
  readonly database: string | undefined
  readonly keepAlive: SessionKeeper.Options | false
  readonly closeTimeout: Duration.Duration
  readonly settleTimeout: Duration.Duration
  readonly timeout: Duration.Duration | undefined
}

/** Fails with `InvalidOptions`, naming all durations that are none. */
export const decode = (options: Undecoded): Effect.Effect<Settings, MongoError> => {
  const keepAlive = options.keepAlive ?? {}
  const closeTimeout = positive(options.closeTimeout ?? Duration.seconds(10))
  const settleTimeout = positive(options.settleTimeout ?? Duration.seconds(30))
  const timeout = options.timeout === undefined ? Option.some(undefined) : positive(options.timeout)
  const idleFor = keepAlive === false || keepAlive.idleFor === undefined
    ? Option.some(undefined)
    : positive(keepAlive.idleFor)
  const invalid = Object.entries({ closeTimeout, settleTimeout, timeout, "keepAlive.idleFor": idleFor })
    .flatMap(([name, value]) => Option.isNone(value) ? [name] : [])
  return Option.match(Option.all({ closeTimeout, settleTimeout, timeout, idleFor }), {
    onNone: () =>
      Effect.fail(
        new MongoError({
          reason: "InvalidOptions",
          operation: `MongoClient (${invalid.join(", ")}: a finite duration above zero is expected)`,
          labels: []
        })
      ),
    onSome: (valid) =>
      Effect.succeed({
        database: options.database,
        keepAlive: keepAlive === false ? false : { ...keepAlive, idleFor: valid.idleFor },
        closeTimeout: valid.closeTimeout,
        settleTimeout: valid.settleTimeout,
        timeout: valid.timeout
      })
  })
}

const positive = (input: Duration.DurationInput): Option.Option<Duration.Duration> =>
  Option.filter(
    Duration.decodeUnknown(input),
    (duration) => Duration.isFinite(duration) && Duration.greaterThan(duration, Duration.zero)
  )
