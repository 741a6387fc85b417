/**
 * The forms of a BSON value: how a value is read depends on the options of the client (`promoteLongs`, `useBigInt64`,
 * `promoteBuffers` and the like), and what a schema takes does not. Finds among the forms of each value the one that the
 * encoded side of a schema takes.
 */
import * as Predicate from "effect/Predicate"
import { formsOf } from "../driver/bson.js"
import { isPlain } from "./objects.js"

/** What is looked at in the syntax tree of a schema of either package. */
export interface Ast {
  readonly _tag: string
}

interface Field {
  readonly name: PropertyKey
  readonly type: Ast
}

interface Typed {
  readonly type: Ast
}

interface Parts extends Ast {
  readonly propertySignatures: ReadonlyArray<Field>
  readonly indexSignatures: ReadonlyArray<Typed>
  readonly elements: ReadonlyArray<Typed>
  readonly rest: ReadonlyArray<Typed>
  readonly types: ReadonlyArray<Ast>
  readonly f: () => Ast
  readonly from: Ast
}

/** Whether a value is of a part of the schema. */
export type Is = (ast: Ast) => (value: unknown) => boolean

/** Gives a value in the form that it should have; the same value where there is no other. */
export type Adapt = (value: unknown) => unknown

/** {@link Adapt} for the encoded side of a schema. */
export const adapting = (ast: Ast, is: Is): Adapt => {
  const known = new Map<Ast, Adapt>()
  const of = (part: Ast): Adapt => {
    const kept = known.get(part)
    if (kept !== undefined) return kept
    const made = make(part as Parts)
    known.set(part, made)
    return made
  }
  const make = (part: Parts): Adapt => {
    switch (part._tag) {
      case "TypeLiteral": {
        const fields = new Map(part.propertySignatures.map(({ name, type }) => [name, of(type)]))
        const others = part.indexSignatures.map(({ type }) => of(type))
        return fields.size + others.length === 0
          ? leaf(part)
          : (value) => {
            const own = isFields(value) ? value : formsOf(value).find(isFields)
            return own === undefined ? value : struct(own, fields, others)
          }
      }
      case "TupleType": {
        const elements = part.elements.map(({ type }) => of(type))
        const [rest] = part.rest.map(({ type }) => of(type))
        return (value) =>
          Array.isArray(value) ? value.map((item, index) => (elements[index] ?? rest)?.(item) ?? item) : value
      }
      case "Union": {
        const itself = is(part)
        const members = part.types.map((member) => ({ adapt: of(member), is: is(member) }))
        return (value) => {
          if (itself(value)) return value
          for (const member of members) {
            const adapted = member.adapt(value)
            if (member.is(adapted)) return adapted
          }
          return value
        }
      }
      case "Suspend":
        return (value) => of(part.f())(value)
      default:
        return leaf(part)
    }
  }
  const leaf = (part: Ast): Adapt => {
    const fits = is(part)
    return (value) => {
      if (fits(value)) return value
      const form = formsOf(value).find(fits)
      return form === undefined ? value : form
    }
  }
  return of(ast)
}

/** The names of the fields that the encoded side of a schema has, be it of that side or not; undefined where it may have any. */
export const namesOf = (ast: Ast): ReadonlySet<string> | undefined => {
  const part = ast as Parts
  switch (part._tag) {
    case "TypeLiteral":
      return part.indexSignatures.length > 0
        ? undefined
        : new Set(part.propertySignatures.map(({ name }) => String(name)))
    case "Union": {
      const members = part.types.map(namesOf)
      return members.every((names) => names !== undefined) ? new Set(members.flatMap((names) => [...names])) : undefined
    }
    case "Suspend":
      return namesOf(part.f())
    // The encoded side is what they begin with.
    case "Refinement":
    case "Transformation":
      return namesOf(part.from)
    default:
      return undefined
  }
}

const isFields = (value: unknown): value is object => Predicate.isObject(value) && isPlain(value)

const struct = (value: object, fields: ReadonlyMap<PropertyKey, Adapt>, others: ReadonlyArray<Adapt>): object =>
  Object.fromEntries(
    Object.entries(value).map(([name, item]) => {
      const own = fields.get(name)
      return [name, own === undefined ? others.reduce((adapted, adapt) => adapt(adapted), item) : own(item)]
    })
  )
