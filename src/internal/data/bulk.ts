/**
 * What is looked at in the writes of a bulk before they are sent.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import { tried } from "../values/fault.js"
import { problemOfNamespace } from "../values/names.js"
import { misnamedBy } from "./refused.js"
import { documentsIn, storable, type Stored } from "./values.js"

/** What a write of a bulk may have, beside the document that it stores. */
interface Model {
  readonly filter?: unknown
  readonly update?: unknown
}

/** The writes of a list as they were given, read once; none where they are no such writes. */
export const writesIn = <W extends object>(
  given: ReadonlyArray<W>,
  isWrite: (write: W) => boolean
): ReadonlyArray<W> | undefined =>
  tried(() => {
    const writes = given.map((write) => Object.fromEntries(Object.entries(write).map(copy)) as W)
    return writes.every(isWrite) ? writes : undefined
  })

// Of what it does, the fields of the write are read as well.
const copy = ([name, value]: [name: string, value: unknown]): [name: string, value: unknown] => [
  name,
  kinds.includes(name) && Predicate.isRecord(value) ? { ...value } : value
]

/** Whether it is one write by its name, with what it is to do. */
export const isNamed = (write: object): boolean => {
  const [[name, model] = ["", undefined], ...others] = Object.entries(write)
  return others.length === 0 && kinds.includes(name) && Predicate.isRecord(model)
}

/** What such a list is. */
export const named = "A bulk is a list of writes, each of one name, like `[{ deleteOne: { filter: { _id: 1 } } }]`."

/** Whether it is a write to a collection that it names. */
export const isPlaced = ({ name, namespace }: { readonly name?: unknown; readonly namespace?: unknown }): boolean =>
  Predicate.isString(namespace) && Predicate.isString(name) && kinds.includes(name)

/** What a list of those is. */
export const placed =
  "A bulk is a list of writes, like `[{ namespace: \"shop.orders\", name: \"deleteOne\", filter: { _id: 1 } }]`."

const kinds = ["insertOne", "replaceOne", "updateOne", "updateMany", "deleteOne", "deleteMany"]

/** What of a write no schema has seen: in it nothing may be undefined. */
export const partOf = (model: object): object => {
  const { filter = {}, update = {} }: Model = model
  return { filter, update, ...documentsIn(model) }
}

/** A write of a bulk, by its name. */
export type Named = readonly [name: string, model: object]

/** The filter of a write; of one that inserts, any. */
export const filterOf = ([name, model]: Named): unknown => {
  const { filter }: Model = model
  return name === "insertOne" ? {} : filter
}

/** The update of a write, if it is one that updates. */
export const updateOf = ([name, model]: Named): ReadonlyArray<unknown> => {
  const { update }: Model = model
  return name === "updateOne" || name === "updateMany" ? [update] : []
}

/** A write to any collection of a client, whose new document the driver adds an `_id` to. */
export const copied = <M extends ClientModel>(model: M): Effect.Effect<Stored<M>, MongoError> => {
  const misnamed = misnamedBy(problemOfNamespace(model.namespace), "bulkWrite")
  if (misnamed !== undefined) return Effect.fail(misnamed)
  const isInsert = model.name === "insertOne"
  if (!isInsert && model.name !== "replaceOne") return Effect.succeed({ document: model, bytes: 0 })
  const field = isInsert ? "document" : "replacement"
  const stored = storable(model[field] as Driver.Document, "bulkWrite", model.namespace, { getsId: isInsert })
  return stored instanceof MongoError
    ? Effect.fail(stored)
    : Effect.succeed({ document: { ...model, [field]: stored.document }, bytes: stored.bytes })
}

/** About how many bytes of BSON documents have in all. */
export const bytesOf = (all: ReadonlyArray<Stored<unknown>>): number => all.reduce((sum, { bytes }) => sum + bytes, 0)

/** A write to any collection of a client. */
interface ClientModel {
  readonly name: string
  readonly namespace: string
  readonly document?: Driver.Document
  readonly replacement?: Driver.Document
}
