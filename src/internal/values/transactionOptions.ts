/**
 * What is valid as the options of a transaction, wherever they are given: to a transaction, or as a session's defaults.
 */
import type * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { type ConfigKey, duration, type Rules, serverLimit } from "./options.js"

const Level = Schema.Literal("local", "majority", "snapshot").annotations({
  description: "the level \"local\", \"majority\" or \"snapshot\""
})

const W = Schema.Union(
  Schema.Int.pipe(Schema.between(1, serverLimit)),
  // a number in a string went astray on its way, e.g. through a configuration
  Schema.String.pipe(Schema.filter((name) => name.trim() !== "" && Number.isNaN(Number(name))))
).annotations({
  description: "a number of members of at least 1 (transactions do not support unacknowledged write concern, w: 0), " +
    "\"majority\" or the name of a write concern"
})

// Descriptions are plain texts: what has to be computed stays in each bundle.
const Mode = Schema.Literal("primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest").annotations({
  description: "one of the modes primary, primaryPreferred, secondary, secondaryPreferred, nearest"
})

const ReadConcern = Schema.Union(Level, Schema.Struct({ level: Level })).annotations({
  description: "the level \"local\", \"majority\" or \"snapshot\", alone or as { level }"
})

const WriteConcern = Schema.Union(
  W,
  Schema.Struct({
    w: Schema.optional(W),
    journal: Schema.optional(Schema.Boolean),
    wtimeout: Schema.optional(duration(serverLimit))
  })
).annotations({
  description: "a number of members of at least 1 (transactions do not support unacknowledged write concern, w: 0), " +
    "\"majority\" or the name of a write concern, alone or as { w, journal, wtimeout }"
})

const ReadPreference = Schema.Union(
  Mode,
  Schema.Struct({
    mode: Mode,
    tags: Schema.optional(Schema.Array(Schema.Record({ key: Schema.String, value: Schema.String }))),
    maxStalenessSeconds: Schema.optional(
      Schema.Int.pipe(Schema.between(90, serverLimit)).annotations({ description: "a whole number of at least 90" })
    )
  })
).annotations({
  description: "one of the modes primary, primaryPreferred, secondary, secondaryPreferred, nearest, alone or as " +
    "{ mode, tags, maxStalenessSeconds }"
})

const threshold = Schema.optional(
  Schema.Union(Schema.Literal(false), Schema.Int.pipe(Schema.greaterThanOrEqualTo(1))).annotations({
    description: "a whole number of at least 1, or false"
  })
)

const Warnings = Schema.Struct({
  documents: threshold,
  operations: threshold,
  bytes: threshold,
  age: Schema.optional(
    Schema.Union(Schema.Literal(false), duration()).annotations({
      description: "a finite time of at least 1 millisecond, or false"
    })
  )
})

/** The fields of the options, each valid or not by itself. */
export const fields = Schema.Struct({
  readConcern: Schema.optional(ReadConcern),
  writeConcern: Schema.optional(WriteConcern),
  readPreference: Schema.optional(ReadPreference),
  maxCommitTime: Schema.optional(duration(serverLimit)),
  timeout: Schema.optional(duration()),
  warnings: Schema.optional(
    Schema.Union(Schema.Literal(false), Warnings).annotations({
      description: "false, or { documents, operations, bytes, age }"
    })
  )
}).annotations({ description: "an object of transaction options" })

/** The rules over several fields. */
export const rules: Rules = ({ readPreference }) => {
  if (!Predicate.isRecord(readPreference) || readPreference["mode"] !== "primary") return []
  const { maxStalenessSeconds, tags } = readPreference
  const message = "cannot be combined with the mode primary"
  return [
    ...(Array.isArray(tags) && tags.length > 0 ? [{ path: ["readPreference", "tags"], message }] : []),
    ...(typeof maxStalenessSeconds === "number"
      ? [{ path: ["readPreference", "maxStalenessSeconds"], message }]
      : [])
  ]
}

/** The one form of valid fields. */
export const normalize = (options: typeof fields.Type) => {
  const { maxCommitTime, readConcern, readPreference, timeout, warnings, writeConcern } = options
  const concern = typeof writeConcern === "object" ? writeConcern : { w: writeConcern }
  const preference = typeof readPreference === "string" ? { mode: readPreference } : readPreference
  return {
    readConcern: typeof readConcern === "string" ? { level: readConcern } : readConcern,
    writeConcern: writeConcern === undefined
      ? undefined
      : { w: undefined, journal: undefined, wtimeout: undefined, ...concern },
    readPreference: preference === undefined
      ? undefined
      : { tags: undefined, maxStalenessSeconds: undefined, ...preference },
    maxCommitTime,
    timeout,
    warnings: warnings === false ? never : warnings && { ...unset, ...warnings }
  }
}

/** When a transaction is warned of; `undefined` is "not set here". */
export interface Warnings {
  readonly documents: number | false | undefined
  readonly operations: number | false | undefined
  readonly bytes: number | false | undefined
  readonly age: Duration.Duration | false | undefined
}

const unset: Warnings = { documents: undefined, operations: undefined, bytes: undefined, age: undefined }

const never: Warnings = { documents: false, operations: false, bytes: false, age: false }

/** The warnings that are set, each by itself where it is set first. */
export const mergeWarnings = (one: Warnings | undefined, other: Warnings | undefined): Warnings | undefined =>
  one === undefined || other === undefined ? one ?? other : {
    documents: one.documents ?? other.documents,
    operations: one.operations ?? other.operations,
    bytes: one.bytes ?? other.bytes,
    age: one.age ?? other.age
  }

/** The keys of the options in a configuration. */
export const configKeys: ReadonlyArray<ConfigKey> = [
  { key: ["READ_CONCERN"], path: ["readConcern", "level"], as: "text" },
  { key: ["WRITE_CONCERN_W"], path: ["writeConcern", "w"], as: "number" },
  { key: ["WRITE_CONCERN_JOURNAL"], path: ["writeConcern", "journal"], as: "boolean" },
  { key: ["WRITE_CONCERN_WTIMEOUT"], path: ["writeConcern", "wtimeout"], as: "text" },
  { key: ["READ_PREFERENCE"], path: ["readPreference", "mode"], as: "text" },
  { key: ["MAX_STALENESS_SECONDS"], path: ["readPreference", "maxStalenessSeconds"], as: "number" },
  { key: ["MAX_COMMIT_TIME"], path: ["maxCommitTime"], as: "text" },
  { key: ["TIMEOUT"], path: ["timeout"], as: "text" },
  { key: ["WARNINGS_DOCUMENTS"], path: ["warnings", "documents"], as: "number or false" },
  { key: ["WARNINGS_OPERATIONS"], path: ["warnings", "operations"], as: "number or false" },
  { key: ["WARNINGS_BYTES"], path: ["warnings", "bytes"], as: "number or false" },
  { key: ["WARNINGS_AGE"], path: ["warnings", "age"], as: "time or false" }
]
