/**
 * The options of a relay, decoded.
 */
import * as Schema from "@effect/schema/Schema"
import * as Predicate from "effect/Predicate"
import * as ScheduleModule from "effect/Schedule"
import { decoder } from "../../values/options.js"

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
