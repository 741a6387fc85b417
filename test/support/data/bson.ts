/**
 * The library's schemas of BSON values, in both packages of schemas, and other copies of bson.
 */
import * as OldArbitrary from "@effect/schema/Arbitrary"
import * as OldEquivalence from "@effect/schema/Equivalence"
import * as OldJson from "@effect/schema/JSONSchema"
import * as OldPretty from "@effect/schema/Pretty"
import * as OldSchema from "@effect/schema/Schema"
import * as Arbitrary from "effect/Arbitrary"
import type * as Equivalence from "effect/Equivalence"
import type * as FastCheck from "effect/FastCheck"
import * as Json from "effect/JSONSchema"
import * as Pretty from "effect/Pretty"
import * as Schema from "effect/Schema"
import type * as Driver from "mongodb"
import { createRequire } from "node:module"
import * as OldSchemas from "../../../src/OldSchemas.js"
import * as Schemas from "../../../src/Schemas.js"

/** A schema of whatever values. */
export type Any = Schema.Schema<unknown, unknown>

/** A package of schemas, with what it derives from them. */
export interface Package {
  readonly name: string
  readonly S: typeof Schema
  readonly Schemas: typeof Schemas
  readonly values: (schema: Any) => FastCheck.Arbitrary<unknown>
  readonly json: (schema: Any) => object
  readonly pretty: (schema: Any) => (value: unknown) => string
  readonly isSame: (schema: Any) => Equivalence.Equivalence<unknown>
}

// The two packages differ in type only, as far as they are used here.
const old = (schema: Any) => schema as unknown as OldSchema.Schema<unknown, unknown>

/** Both packages. */
export const packages: ReadonlyArray<Package> = [
  {
    name: "effect/Schema",
    S: Schema,
    Schemas,
    values: Arbitrary.make,
    json: Json.make,
    pretty: Pretty.make,
    isSame: Schema.equivalence
  },
  {
    name: "@effect/schema",
    S: OldSchema as unknown as typeof Schema,
    Schemas: OldSchemas as unknown as typeof Schemas,
    values: (schema) => OldArbitrary.make(old(schema)),
    json: (schema) => OldJson.make(old(schema)),
    pretty: (schema) => OldPretty.make(old(schema)),
    isSame: (schema) => OldEquivalence.make(old(schema))
  }
]

/** All of the library's schemas of BSON's values, by name. */
export const all = ({ Schemas }: Package): Readonly<Record<string, Any>> => {
  const {
    CausalTokenFromString: _causalToken,
    ResumeTokenFromString: _resumeToken,
    SessionIdFromString: _sessionId,
    signedCausalToken: _signed,
    withId: _withId,
    ...schemas
  } = Schemas
  return schemas as Readonly<Record<string, unknown>> as Readonly<Record<string, Any>>
}

/** What is used of a copy of bson. */
export type Bson = Pick<
  typeof Driver,
  "ObjectId" | "Decimal128" | "Long" | "UUID" | "Binary" | "Timestamp"
>

/** A value of each class, made by a copy of bson; named after the schema that is stored as it is. */
export const valuesOf = (bson: Bson): Readonly<Record<string, unknown>> => ({
  ObjectIdFromSelf: new bson.ObjectId("0123456789abcdef01234567"),
  Decimal128FromSelf: bson.Decimal128.fromString("1.50"),
  LongFromSelf: bson.Long.fromString("9007199254740993"),
  UUIDFromSelf: new bson.UUID("01234567-89ab-4def-8123-456789abcdef"),
  BinaryFromSelf: new bson.Binary(Buffer.from("abc"), 128),
  TimestampFromSelf: new bson.Timestamp({ t: 7, i: 2 })
})

const load = createRequire(import.meta.url)

/** The bson of another installed driver. */
export const bsonOf = (driver: "mongodb" | "mongodb6"): Bson =>
  createRequire(load.resolve(`${driver}/package.json`))("bson") as Bson

/** The bson of the driver, loaded once more: its classes are others, its version is the same. */
export const secondCopy = (): Bson => {
  const path = createRequire(load.resolve("mongodb/package.json")).resolve("bson")
  const first = load.cache[path]
  delete load.cache[path]
  const copy = load(path) as Bson
  if (first !== undefined) load.cache[path] = first
  return copy
}
