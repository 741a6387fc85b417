/**
 * The options of an outbox and of a relay, decoded.
 */
import * as Predicate from "effect/Predicate"
import * as ScheduleModule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { SchemaField } from "../../data/schemaField.js"
import * as Names from "../../values/names.js"
import { decoder, Name } from "../../values/options.js"

/** The collections of an outbox; by default, that of the messages has its name. */
export const collectionsOf = (name: string, {
  collection = `effect_mongo_session.outbox.${name}`,
  deadLetterCollection = "effect_mongo_session.deadLetters",
  stateCollection = "effect_mongo_session.outboxes"
}: { readonly [option in "collection" | "deadLetterCollection" | "stateCollection"]?: string | undefined }) => ({
  collection,
  deadLetterCollection,
  stateCollection
})

/**
 * Fails where the name or an option of an outbox is none. Its state collection has documents by the name and by what is made of
 * it with a slash.
 */
export const ensureOutbox = decoder(
  Schema.Struct({
    name: Name,
    database: Schema.optional(Names.Database),
    collection: Schema.optional(Names.Collection),
    stateCollection: Schema.optional(Names.Collection),
    deadLetterCollection: Schema.optional(Names.Collection),
    sequence: Schema.optional(Schema.Boolean),
    schema: SchemaField
  }),
  ({ database = "a", name, ...options }) => {
    if (!isName(name)) return []
    const { collection, deadLetterCollection, stateCollection } = collectionsOf(name, options)
    const isGiven = options["collection"] !== undefined
    const isRefused = Names.problemOf(database) !== undefined || isGiven && !isCollection(collection)
    const problem = isRefused ? undefined : Names.problemOf(database, collection)
    return [
      ...(problem === undefined ? [] : [{ path: [isGiven ? "collection" : "name"], message: problem }]),
      ...(collection === stateCollection || collection === deadLetterCollection
        ? [{ path: ["collection"], message: "expected a collection for the messages alone" }]
        : [])
    ]
  }
)

const isName = Schema.is(Name)
const isCollection = Schema.is(Names.Collection)

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
  }),
  () => []
)
