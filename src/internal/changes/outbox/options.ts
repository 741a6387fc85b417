/**
 * The options of an outbox and of a relay, decoded.
 */
import * as Schema from "@effect/schema/Schema"
import * as Predicate from "effect/Predicate"
import * as ScheduleModule from "effect/Schedule"
import { decoder, Name, Text } from "../../values/options.js"

/**
 * Fails where the name or an option of an outbox is none. Its state collection has documents by the name and by what is made of
 * it with a slash.
 */
export const ensureOutbox = decoder(
  Schema.Struct({
    name: Name,
    database: Schema.optional(Schema.String),
    collection: Schema.optional(Text),
    stateCollection: Schema.optional(Text),
    deadLetterCollection: Schema.optional(Text),
    sequence: Schema.optional(Schema.Boolean)
  }).annotations({ description: "an object of an outbox's options" }),
  ({ collection, deadLetterCollection, stateCollection }) =>
    collection !== undefined && (collection === stateCollection || collection === deadLetterCollection)
      ? [{ path: ["collection"], message: "expected a collection for the messages alone" }]
      : []
)

const Count = Schema.optional(
  Schema.Int.pipe(Schema.between(1, 100_000)).annotations({ description: "a whole number from 1 to 100000" })
)

/** Whether a value is a Schedule. What its input is cannot be told. */
export const isSchedule = (value: unknown): value is ScheduleModule.Schedule<unknown> =>
  Predicate.hasProperty(value, ScheduleModule.ScheduleTypeId)

/** The field of a Schedule. */
export const ScheduleField = Schema.optional(Schema.declare(isSchedule, { description: "a Schedule" }))

/** The field of what becomes of poison. */
export const OnPoisonField = Schema.optional(Schema.Literal("stop", "skip", "setAside"))

/** Fails where an option of a relay is none. */
export const ensureValid = decoder(
  Schema.Struct({
    batch: Count,
    concurrency: Count,
    orderBy: Schema.optional(Schema.declare(Predicate.isFunction, { description: "a function" })),
    poll: ScheduleField,
    resume: ScheduleField,
    retry: ScheduleField,
    onPoison: OnPoisonField
  }).annotations({ description: "an object of a relay's options" }),
  () => []
)
