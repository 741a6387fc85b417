/**
 * The unified test format, as far as this runner reads it: what a file of tests is made of.
 *
 * See the specification "Unified Test Format".
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { BSON } from "mongodb"
import { compareVersions } from "./version.js"

/** The highest version of the format that is understood. */
const schemaVersion = "1.27"

const Fields = Schema.Record({ key: Schema.String, value: Schema.Unknown })

const Requirement = Schema.Struct({
  minServerVersion: Schema.optional(Schema.String),
  maxServerVersion: Schema.optional(Schema.String),
  topologies: Schema.optional(Schema.Array(Schema.String)),
  serverless: Schema.optional(Schema.Literal("require", "forbid", "allow")),
  serverParameters: Schema.optional(Fields),
  auth: Schema.optional(Schema.Boolean),
  authMechanism: Schema.optional(Schema.String),
  csfle: Schema.optional(Schema.Unknown)
})

const ExpectedError = Schema.Struct({
  isError: Schema.optional(Schema.Boolean),
  isClientError: Schema.optional(Schema.Boolean),
  isTimeoutError: Schema.optional(Schema.Boolean),
  errorContains: Schema.optional(Schema.String),
  errorCode: Schema.optional(Schema.Number),
  errorCodeName: Schema.optional(Schema.String),
  errorLabelsContain: Schema.optional(Schema.Array(Schema.String)),
  errorLabelsOmit: Schema.optional(Schema.Array(Schema.String)),
  writeErrors: Schema.optional(Fields),
  writeConcernErrors: Schema.optional(Schema.Array(Schema.Unknown)),
  errorResponse: Schema.optional(Schema.Unknown),
  expectResult: Schema.optional(Schema.Unknown)
})

const Operation = Schema.Struct({
  name: Schema.String,
  object: Schema.String,
  arguments: Schema.optionalWith(Fields, { default: () => ({}) }),
  ignoreResultAndError: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  expectError: Schema.optional(ExpectedError),
  expectResult: Schema.optional(Schema.Unknown),
  saveResultAsEntity: Schema.optional(Schema.String)
})

const ExpectedEvents = Schema.Struct({
  client: Schema.String,
  eventType: Schema.optionalWith(Schema.Literal("command", "cmap", "sdam"), { default: () => "command" }),
  events: Schema.Array(Fields),
  ignoreExtraEvents: Schema.optionalWith(Schema.Boolean, { default: () => false })
})

interface Span {
  readonly name: string
  readonly attributes: { readonly [key: string]: unknown }
  readonly nested: ReadonlyArray<Span>
}

interface EncodedSpan {
  readonly name: string
  readonly attributes: { readonly [key: string]: unknown }
  readonly nested?: ReadonlyArray<EncodedSpan> | undefined
}

const ExpectedSpan: Schema.Schema<Span, EncodedSpan> = Schema.Struct({
  name: Schema.String,
  attributes: Fields,
  nested: Schema.optionalWith(Schema.Array(Schema.suspend(() => ExpectedSpan)), { default: () => [] })
})

const ExpectedTracing = Schema.Struct({
  client: Schema.String,
  ignoreExtraSpans: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  spans: Schema.Array(ExpectedSpan)
})

const CollectionData = Schema.Struct({
  databaseName: Schema.String,
  collectionName: Schema.String,
  createOptions: Schema.optional(Fields),
  documents: Schema.Array(Fields)
})

const Test = Schema.Struct({
  description: Schema.String,
  runOnRequirements: Schema.optional(Schema.Array(Requirement)),
  skipReason: Schema.optional(Schema.String),
  operations: Schema.Array(Operation),
  expectEvents: Schema.optionalWith(Schema.Array(ExpectedEvents), { default: () => [] }),
  expectLogMessages: Schema.optional(Schema.Unknown),
  expectTracingMessages: Schema.optionalWith(Schema.Array(ExpectedTracing), { default: () => [] }),
  outcome: Schema.optionalWith(Schema.Array(CollectionData), { default: () => [] })
})

const File = Schema.Struct({
  description: Schema.String,
  schemaVersion: Schema.String,
  _yamlAnchors: Schema.optional(Schema.Unknown),
  runOnRequirements: Schema.optional(Schema.Array(Requirement)),
  createEntities: Schema.optionalWith(Schema.Array(Fields), { default: () => [] }),
  initialData: Schema.optionalWith(Schema.Array(CollectionData), { default: () => [] }),
  tests: Schema.Array(Test)
})

export interface Requirement extends Schema.Schema.Type<typeof Requirement> {}
export interface ExpectedError extends Schema.Schema.Type<typeof ExpectedError> {}
export interface Operation extends Schema.Schema.Type<typeof Operation> {}
export interface ExpectedEvents extends Schema.Schema.Type<typeof ExpectedEvents> {}
export interface ExpectedSpan extends Schema.Schema.Type<typeof ExpectedSpan> {}
export interface ExpectedTracing extends Schema.Schema.Type<typeof ExpectedTracing> {}
export interface CollectionData extends Schema.Schema.Type<typeof CollectionData> {}
export interface Test extends Schema.Schema.Type<typeof Test> {}
export interface File extends Schema.Schema.Type<typeof File> {}

/** Reads a file; on the left, why it is none that this runner can run. */
export const parse = (text: string): Either.Either<File, string> =>
  Either.flatMap(
    Either.try({ try: (): unknown => BSON.EJSON.parse(text, { relaxed: true }), catch: () => "it is not JSON" }),
    (content) => Either.flatMap(ensureVersion(content), () => decoded(File)(content))
  )

/** The operations in an argument of an operation, as of `withTransaction`. */
export const operations = (argument: unknown): ReadonlyArray<Operation> =>
  Either.getOrThrowWith(decoded(Schema.Array(Operation))(argument), (problem) => new TypeError(problem))

// What is not known to be asserted must not pass for it.
const decoded = <A, I>(schema: Schema.Schema<A, I>) => (content: unknown): Either.Either<A, string> =>
  Either.mapLeft(
    Schema.decodeUnknownEither(schema, { onExcessProperty: "error" })(content),
    (error) => error.message
  )

const Versioned = Schema.Struct({ schemaVersion: Schema.String })

const ensureVersion = (content: unknown): Either.Either<void, string> => {
  if (!Schema.is(Versioned)(content)) return Either.left("it is not in the unified test format")
  const { schemaVersion: found } = content
  return found.startsWith("1.") && compareVersions(found, schemaVersion) <= 0
    ? Either.right(undefined)
    : Either.left(`its schema version ${found} is not one of 1.0 to ${schemaVersion}`)
}
