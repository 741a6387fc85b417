/**
 * Random schemas, the same in both packages, and random values of them.
 */
import * as OldArbitrary from "@effect/schema/Arbitrary"
import * as OldSchema from "@effect/schema/Schema"
import * as Arbitrary from "effect/Arbitrary"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import type { Document } from "mongodb"

/** What a schema is made of. */
export type Shape =
  | { readonly _tag: "String" | "Number" | "Boolean" | "Date" | "Int" | "Option" }
  | { readonly _tag: "Array" | "Nullable" | "Optional"; readonly of: Shape }
  | { readonly _tag: "Struct"; readonly fields: Readonly<Record<string, Shape>> }

const names = FastCheck.stringMatching(/^[a-z]{1,6}$/)

/** Shapes of documents, which nest. */
export const shapes: FastCheck.Arbitrary<Shape> = FastCheck.letrec<{ any: Shape; struct: Shape }>((tie) => ({
  any: FastCheck.oneof(
    { depthSize: "small", maxDepth: 3 },
    FastCheck.record({
      _tag: FastCheck.constantFrom<"String" | "Number" | "Boolean" | "Date" | "Int" | "Option">(
        "String",
        "Number",
        "Boolean",
        "Date",
        "Int",
        "Option"
      )
    }),
    FastCheck.record({
      _tag: FastCheck.constantFrom<"Array" | "Nullable" | "Optional">("Array", "Nullable", "Optional"),
      of: tie("any")
    }),
    tie("struct")
  ),
  struct: FastCheck.record({
    _tag: FastCheck.constant("Struct" as const),
    fields: FastCheck.dictionary(names, tie("any"), { minKeys: 1, maxKeys: 4 })
  })
})).struct

type Packed = Schema.Schema<unknown, Document>

// The two packages differ in type only, as far as they are used here.
const packed = (schema: unknown): Packed => schema as Packed

const build = (S: typeof Schema, shape: Shape): Packed => {
  switch (shape._tag) {
    case "String":
      return packed(S.String)
    case "Number":
      return packed(S.JsonNumber)
    case "Boolean":
      return packed(S.Boolean)
    case "Date":
      return packed(S.ValidDateFromSelf)
    case "Int":
      return packed(S.compose(S.NumberFromString, S.Int))
    case "Option":
      return packed(S.Option(S.String))
    case "Array":
      return packed(S.Array(build(S, shape.of)))
    case "Nullable":
      return packed(S.NullOr(build(S, shape.of)))
    case "Optional":
      // Only a field can be left out.
      return build(S, shape.of)
    case "Struct":
      return packed(S.Struct(
        Object.fromEntries(
          Object.entries(shape.fields).map(([name, field]) => [
            name,
            field._tag === "Optional"
              ? S.optionalWith(build(S, field.of), { exact: true })
              : build(S, field)
          ])
        )
      ))
  }
}

/** A schema of a package, as a shape has it, and the values that it describes. */
export const packages: ReadonlyArray<{
  readonly name: string
  readonly of: (shape: Shape) => { readonly schema: Packed; readonly values: FastCheck.Arbitrary<unknown> }
}> = [
  {
    name: "effect/Schema",
    of: (shape) => {
      const schema = build(Schema, shape)
      return { schema, values: Arbitrary.make(schema) }
    }
  },
  {
    name: "@effect/schema",
    of: (shape) => {
      const schema = build(OldSchema as unknown as typeof Schema, shape)
      return { schema, values: OldArbitrary.make(schema as unknown as OldSchema.Schema<unknown>) }
    }
  }
]
