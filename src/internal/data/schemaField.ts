/**
 * The field of options by which a program gives a schema of its own.
 */
import * as Schema from "effect/Schema"
import { type AnySchema, isSchema } from "../../Codec.js"

/** A schema of either package, or none. */
export const SchemaField = Schema.optional(
  Schema.declare(isSchema<AnySchema>, { description: "a schema" })
)
