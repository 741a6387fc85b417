/**
 * The options of a change stream, and how they are decoded.
 */
import type * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import type { ResumeToken } from "../../ResumeToken.js"
import { isLimit } from "../data/limits.js"
import { isDocument } from "../data/objects.js"
import { problemOf } from "../data/options.js"
import { misconfiguredBy } from "../data/refused.js"
import { problemOfPipeline } from "../data/rules.js"
import { invalid } from "../driver/errors.js"
import { isTimestamp } from "../values/foreign.js"
import { decoder, duration, serverLimit } from "../values/options.js"
import type { OnInvalid } from "./events.js"
import { ScheduleField } from "./outbox/options.js"

/**
 * How to watch. Give at most one of `resumeAfter`, `startAfter` and `startAtOperationTime`; without any, the stream begins
 * when it is run. A stream with wrong options fails with `MongoError` (`InvalidOptions`) before anything is sent.
 *
 * See MongoDB's manual, "$changeStream".
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<M extends OnInvalid = OnInvalid> {
  /** Whether updates come with the document as it is now, or as it was after the update. Default: without it. */
  readonly fullDocument?: "updateLookup" | "whenAvailable" | "required" | undefined
  /** Whether events come with the document as it was before. Default: without it. */
  readonly fullDocumentBeforeChange?: "off" | "whenAvailable" | "required" | undefined
  /** Begins after this event. */
  readonly resumeAfter?: ResumeToken | undefined
  /** Begins after this event, also if it was the last one of its stream (`invalidate`). */
  readonly startAfter?: ResumeToken | undefined
  /** Begins with the events of this time. */
  readonly startAtOperationTime?: Driver.Timestamp | undefined
  /**
   * How long the server waits for an event before it answers that there is none: a time from 1 millisecond to 2147483647,
   * rounded up to whole ones. Default: its own, a second.
   */
  readonly maxAwaitTime?: Duration.DurationInput | undefined
  /**
   * How long each answer of the server may take, with all that is sent to resume the stream: at least a millisecond and more
   * than `maxAwaitTime`, or `Duration.infinity` for no limit. What takes longer fails with `MongoError` (`TimedOut`); a stream of
   * `ChangeStream.opened` can then be run again. Default: that of the collection or the database, else that of the session, else
   * the client's; of a consumer, that of the collection or the database, else none.
   *
   * See the specification "Client Side Operations Timeout", section "Change Streams".
   */
  readonly timeout?: Duration.DurationInput | undefined
  /** How many events come in one batch at most. Default: the server's own. */
  readonly batchSize?: number | undefined
  /**
   * Whether a stream of a database or of a deployment also tells what this library writes for itself: checkpoints, outboxes,
   * dead letters, wherever they are. A stream of a collection tells everything. Default `false`.
   */
  readonly showOwn?: boolean | undefined
  /** Whether changes of indexes, options and the like are told, too. Default `false`. */
  readonly showExpandedEvents?: boolean | undefined
  /** The rules of comparison for the pipeline. Default: binary. */
  readonly collation?: Driver.CollationOptions | undefined
  /** A comment for the server's log. Default: none. */
  readonly comment?: unknown
  /**
   * When to resume after a failure that can be resumed from; its input is the failure. It begins anew whenever the server
   * has answered. Default `ChangeStream.backoff`.
   */
  readonly resume?: Schedule.Schedule<unknown, MongoError> | undefined
  /**
   * What becomes of an event that can't be decoded: the stream fails with `DecodeFailed`, the event is left out, or its
   * documents are `Either`s. Default `fail`.
   */
  readonly onInvalid?: M | undefined
}

/** The options of which the library itself makes something, or what is wrong with them. */
export const decode = <M extends OnInvalid>(
  options: Options<M>,
  pipeline: unknown
): ReturnType<typeof decodeFields> => {
  const stages = problemOfPipeline(pipeline)
  const hint = problemOf(options) ?? stages
  return hint === undefined
    ? decodeFields(options)
    : Either.left(invalid("watch", hint))
}

const decodeFields = <M extends OnInvalid>(
  { maxAwaitTime, onInvalid, resume, resumeAfter, startAfter, startAtOperationTime, timeout }: Options<M>
): Either.Either<{ readonly maxAwaitTime?: Duration.Duration | undefined }, MongoError> =>
  misconfiguredBy(
    decodeOwn({ maxAwaitTime, onInvalid, resume, resumeAfter, startAfter, startAtOperationTime, timeout }),
    "watch"
  )

const isToken = (value: unknown): value is ResumeToken =>
  Predicate.hasProperty(value, "document") && isDocument(value.document)

const Token = Schema.optional(Schema.declare(isToken, { description: "a ResumeToken" }))

const decodeOwn = decoder(
  Schema.Struct({
    maxAwaitTime: Schema.optional(duration(serverLimit)),
    onInvalid: Schema.optional(Schema.Literal("fail", "skip", "either")),
    resume: ScheduleField,
    resumeAfter: Token,
    startAfter: Token,
    startAtOperationTime: Schema.optional(Schema.declare(isTimestamp, { description: "a Timestamp" })),
    timeout: Schema.optional(
      Schema.declare(isLimit, { description: "a time of at least 1 millisecond, or Duration.infinity" })
    )
  }),
  ({ resumeAfter, startAfter, startAtOperationTime }) =>
    [resumeAfter, startAfter, startAtOperationTime].filter(Predicate.isNotUndefined).length > 1
      ? [{ path: [], message: "at most one of resumeAfter, startAfter and startAtOperationTime says where to begin" }]
      : []
)
