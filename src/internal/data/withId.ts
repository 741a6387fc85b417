/**
 * A schema whose values have an `_id` beside what they have: made of one without, for documents whose id the driver makes.
 */
// What the schemas need is in the type of what is made of them.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Equivalence from "effect/Equivalence"
import type * as ParseResult from "effect/ParseResult"
import type * as Schema from "effect/Schema"
import type { Package } from "./bsonSchemas.js"

/** Documents that have no `_id` of their own. */
export type WithoutId = object & { readonly _id?: never }

/** A schema of objects. */
type Objects = Schema.Schema<object, object, unknown>

/**
 * The schema of a whole document, with that of what is inserted, which may have an `_id`, but needs none. Its type is its
 * caller's, who knows the package of the schemas.
 */
export const withId = <Whole>(packaged: Package, given: unknown, id: unknown): Whole => {
  const { S } = packaged
  const schema = given as Objects
  const idSchema = id as Schema.Schema<unknown, unknown, unknown>
  const extended = (field: unknown): object => {
    const own = field as Objects
    // The values of a class are no plain objects, and so no struct can extend them.
    return S.typeSchema(schema).ast._tag === "Declaration" ? beside(packaged, schema, own) : S.extend(schema, own)
  }
  const insert = extended(S.Struct({ _id: S.optional(idSchema) }))
  return Object.assign(extended(S.Struct({ _id: idSchema })), { insert }) as Whole
}

// An instance of the class gets the field that it lacks.
const beside = ({ P, S }: Package, schema: Objects, own: Objects): object => {
  const ofClass = S.typeSchema(schema)
  const ofId = S.typeSchema(own)
  const [isInstance, hasId] = [S.is(ofClass), S.is(ofId)]
  const where =
    (isValue: (value: unknown) => value is object) =>
    () =>
    (value: unknown, _: unknown, ast: ParseResult.Type["ast"]) =>
      isValue(value) ? P.succeed(value) : P.fail(new P.Type(ast, value))
  const isWhole = (value: unknown): value is object => isInstance(value) && hasId(value)
  // What has the fields of an instance is written, too, as it is without an id.
  const Instance = S.declare([ofClass, ofId], { decode: where(isWhole), encode: where(hasId) }, {
    description: `${String(ofClass)} with its _id`,
    arbitrary: (value, id) => (fc) =>
      fc.tuple(value(fc), id(fc)).map(([instance, own]) => Object.assign(instance, own)),
    pretty: (value, id) => (instance) => `${value(instance)} & ${id(instance)}`,
    equivalence: (value, id) => Equivalence.combine(value, id)
  })
  const [decodeClass, decodeId] = [P.decode(schema), P.decode(own)]
  const [encodeClass, encodeId] = [P.encode(schema), P.encode(own)]
  return S.transformOrFail(S.extend(S.encodedBoundSchema(schema), S.encodedBoundSchema(own)), Instance, {
    strict: true,
    decode: (document, options) =>
      P.flatMap(
        decodeClass(document, options),
        (instance) => P.map(decodeId(document, options), (id) => Object.assign(instance, id))
      ),
    encode: (instance, options) =>
      P.flatMap(
        encodeClass(instance, options),
        (document) => P.map(encodeId(instance, options), (id) => ({ ...document, ...id }))
      )
  })
}
