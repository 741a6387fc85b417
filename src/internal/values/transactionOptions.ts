/**
 * What is valid as the options of a transaction, wherever they are given: to a transaction, or as a session's defaults.
 */
import * as Schema from "@effect/schema/Schema"
import * as Predicate from "effect/Predicate"
import { type ConfigKey, duration, type Rules, serverLimit } from "./options.js"

const modes = ["primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest"] as const

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

const Mode = Schema.Literal(...modes).annotations({ description: `one of the modes ${modes.join(", ")}` })

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
).annotations({ description: `one of the modes ${modes.join(", ")}, alone or as { mode, tags, maxStalenessSeconds }` })

/** The fields of the options, each valid or not by itself. */
export const fields = Schema.Struct({
  readConcern: Schema.optional(ReadConcern),
  writeConcern: Schema.optional(WriteConcern),
  readPreference: Schema.optional(ReadPreference),
  maxCommitTime: Schema.optional(duration(serverLimit)),
  timeout: Schema.optional(duration())
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
  const { maxCommitTime, readConcern, readPreference, timeout, writeConcern } = options
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
    timeout
  }
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
  { key: ["TIMEOUT"], path: ["timeout"], as: "text" }
]
