/**
 * The options of a lease, and how they are decoded.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { SessionMisconfigured } from "../../SessionErrors.js"
import { isSchedule, ScheduleField } from "../changes/outbox/options.js"
import type { ClientOption, MongoClient } from "../session/client.js"
import * as Names from "../values/names.js"
import { decoder, duration, serverLimit, Text } from "../values/options.js"

/**
 * Where a lease is kept, for how long it is held, and how it is waited for.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<Client = MongoClient> extends ClientOption<Client> {
  /** The database, which must be of the same deployment as what is guarded. Default: the client's. */
  readonly database?: string | undefined
  /** The collection of the leases. Default `effect_mongo_session.leases`. */
  readonly collection?: string | undefined
  /**
   * For how long it is held from each renewal on, by the server's clock: 24.8 days at most. So long others wait when an instance
   * dies. A guarded transaction takes less than this less `renew`. Default 30 seconds.
   */
  readonly for?: Duration.DurationInput | undefined
  /**
   * How often it is renewed while it is held: a time shorter than `for`, or a Schedule. When the Schedule ends, the lease runs
   * out. Default: a third of `for`.
   */
  readonly renew?: Duration.DurationInput | Schedule.Schedule<unknown> | undefined
  /**
   * When to try again while another instance has it, or no server answers. When it ends, acquiring fails. `Schedule.stop`: not
   * at all. Default: each second, or each third of `for` if that is shorter, for ever, with jitter.
   */
  readonly poll?: Schedule.Schedule<unknown> | undefined
}

/** The options of a lease, decoded. */
export interface Decoded {
  readonly for: Duration.Duration
  readonly renew: Schedule.Schedule<unknown>
  readonly poll: Schedule.Schedule<unknown>
  /** How long one command may take. */
  readonly timeout: Duration.Duration
  /**
   * How long an acquisition waits for a transaction that has written the lease, which then counts as taken. None: as long as for
   * anything else.
   */
  readonly patience?: Duration.Duration | undefined
}

const fields = Schema.Struct({
  name: Text,
  database: Schema.optional(Names.Database),
  collection: Schema.optional(Names.Collection),
  // A third of it is the time limit of one command, which the server is told.
  for: Schema.optional(duration(serverLimit)),
  renew: Schema.optional(
    Schema.Union(duration(), Schema.declare(isSchedule)).annotations({
      description: "a finite time of at least 1 millisecond, or a Schedule"
    })
  ),
  poll: ScheduleField
})

const byDefault = Duration.seconds(30)

const decodeFields = decoder(fields, ({ for: time, renew }) => {
  const [whole, part] = [timeOf(time ?? byDefault), timeOf(renew)]
  return Option.isSome(whole) && Option.isSome(part) && Duration.greaterThanOrEqualTo(part.value, whole.value)
    ? [{ path: ["renew"], message: "expected a time shorter than `for`" }]
    : []
})

const timeOf = (value: unknown) => isSchedule(value) ? Option.none() : Duration.decodeUnknown(value)

/** Decodes the name and the options of a lease. */
export const decode = <Client>(
  name: string,
  { client: _, ...rest }: Options<Client>
): Either.Either<Decoded, SessionMisconfigured> =>
  Either.map(decodeFields({ ...rest, name }), ({ for: whole = byDefault, poll, renew }) => {
    const third = Duration.times(whole, 1 / 3)
    const timeout = Duration.max(third, Duration.millis(1))
    return {
      for: whole,
      renew: isSchedule(renew) ? renew : Schedule.spaced(renew ?? third),
      poll: poll ?? Schedule.jittered(Schedule.spaced(Duration.min(third, Duration.seconds(1)))),
      timeout
    }
  })
