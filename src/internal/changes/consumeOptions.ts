/**
 * The options of a consumer, and how they are decoded.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { MongoError } from "../../MongoError.js"
import type { SessionMisconfigured } from "../../SessionErrors.js"
import type * as Telemetry from "../../Telemetry.js"
import * as TransactionOptions from "../../TransactionOptions.js"
import type { Issue } from "../values/issues.js"
import * as Names from "../values/names.js"
import { below, decoder, duration, Text } from "../values/options.js"
import type { OnLost } from "./lost.js"
import { OnPoisonField, ScheduleField } from "./outbox/options.js"
import type { PoisonOptions } from "./poison.js"

/**
 * How to consume a change stream.
 *
 * @since 0.1.0
 * @category options
 */
export interface ConsumeOptions<E = never, R = never> extends PoisonOptions {
  /** The collection of the checkpoints, of which each has the consumer's name as its `_id`. Default `effect_mongo_session.checkpoints`. */
  readonly collection?: string | undefined
  /** The database of that collection. Default: the one that is watched; the client's, if all are. */
  readonly database?: string | undefined
  /**
   * How many events are handled in one transaction at most. It never waits for more events than there are. Default 1.
   */
  readonly batch?: number | undefined
  /**
   * How often the place in the stream is stored while nothing happens, so that the server's oplog does not lose it. Default
   * 1 minute.
   */
  readonly idleCheckpoint?: Duration.DurationInput | undefined
  /**
   * What happens when the server's oplog no longer reaches back to the checkpoint. `fail`: it fails with `MongoError`
   * (`ChangeStreamLost`), each time that it is started. `now`: it goes on with what happens from now on; what happened between
   * is lost. An effect: it copies the state that the events would have led to, and the consumer goes on with what has happened
   * since just before it was run, so that nothing is missed; some of that may be in the copy already. It runs outside of a
   * transaction, in the consumer's session. Default `fail`.
   */
  readonly onLost?: OnLost<E, R> | undefined
  /**
   * The collection of what is set aside (`onPoison`), in the database of the checkpoints. Default
   * `effect_mongo_session.deadLetters`.
   */
  readonly deadLetterCollection?: string | undefined
  /** The options of the transactions. */
  readonly transaction?: ConsumeTransaction | undefined
}

/** The options of a consumer's transactions. */
export interface ConsumeTransaction extends TransactionOptions.TransactionOptions {
  /**
   * `"majority"`, alone or as `w`, whatever the client or the session prefers; any other is refused. The stream goes on after a
   * commit, and never comes back to one that a failover has rolled back.
   */
  readonly writeConcern?:
    | "majority"
    | {
      readonly w?: "majority" | undefined
      readonly journal?: true | undefined
      readonly wtimeout?: Duration.DurationInput | undefined
    }
    | undefined
  /** See `Transaction.Options`. */
  readonly retry?: Schedule.Schedule<unknown, MongoError> | undefined
  /** See `Transaction.Options`. */
  readonly onRetry?: ((retry: Telemetry.Retry) => Effect.Effect<void>) | undefined
}

/** The collections of checkpoints and of dead letters, if no other is named. */
export const defaultCheckpoints = "effect_mongo_session.checkpoints"
export const defaultDeadLetters = "effect_mongo_session.deadLetters"

const isOnLost = (value: unknown): value is OnLost<unknown, unknown> =>
  value === "fail" || value === "now" || Effect.isEffect(value)

/** Fails where a name is none for a consumer. */
export const ensureName = (name: string): Either.Either<unknown, SessionMisconfigured> => decodeName({ name })

const decodeName = decoder(Schema.Struct({ name: Text }), () => [])

/** Fails where an option of a consumer is none. */
export const ensureValid = decoder(
  Schema.Struct({
    collection: Schema.optional(Names.Collection),
    database: Schema.optional(Names.Database),
    batch: Schema.optional(
      Schema.Int.pipe(Schema.positive()).annotations({ description: "a whole number of at least 1" })
    ),
    idleCheckpoint: Schema.optional(duration()),
    onLost: Schema.optional(Schema.declare(isOnLost, { description: "\"fail\", \"now\" or an effect" })),
    deadLetterCollection: Schema.optional(Names.Collection),
    retry: ScheduleField,
    onPoison: OnPoisonField,
    transaction: Schema.optional(Schema.Object)
  }),
  ({ transaction }) => {
    if (!Predicate.isRecord(transaction)) return []
    const { onRetry: _, retry: __, ...options } = transaction
    return below(
      "transaction",
      Either.match(TransactionOptions.decode(options), {
        onLeft: ({ issues }) => issues,
        onRight: ({ writeConcern }) => isMajority(writeConcern) ? [] : [notMajority]
      })
    )
  }
)

// What is acknowledged before it is in the journals of a majority can be rolled back as well.
const isMajority = (concern: TransactionOptions.Decoded["writeConcern"]): boolean =>
  concern === undefined || (concern.w === undefined || concern.w === "majority") && concern.journal !== false

const notMajority: Issue = {
  path: ["writeConcern"],
  message:
    "must be \"majority\", and not without the journal: the stream does not come back to a commit that is rolled back"
}

/** The write concern of a consumer's transactions. */
export const concernOf = (transaction: ConsumeTransaction | undefined) => {
  const given = transaction?.writeConcern
  return { ...(typeof given === "object" && given), w: "majority" }
}
