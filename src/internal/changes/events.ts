/**
 * Turns the server's change events into values.
 *
 * Fields that are not named are let through: every version of the server adds some. Values are told by their brand, for the
 * client may come from another copy of the driver.
 */
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Driver from "mongodb"
import type {
  Common,
  Event,
  Namespace,
  NamespaceEvent,
  OfDocument,
  Other,
  UpdateDescription
} from "../../ChangeEvent.js"
import type { Codec } from "../../Codec.js"
import { MongoError } from "../../MongoError.js"
import { ResumeToken } from "../../ResumeToken.js"
import type { DecodeFailed } from "../../SessionErrors.js"
import { isDocument } from "../data/objects.js"
import { integerOf, isTimestamp, textOf } from "../values/foreign.js"

/** What becomes of an event that can't be decoded: the stream fails, it is left out, or it tells so itself. */
export type OnInvalid = "fail" | "skip" | "either"

/** The type of the documents in events. */
export type Decoded<A, M extends OnInvalid> = M extends "either" ? Either.Either<A, DecodeFailed> : A

type Unavailable = OfDocument<unknown>["unavailable"][number]

/** How to decode events. */
export interface Decoder<A, R> {
  /** What is watched. */
  readonly source: string
  readonly document: (document: unknown, source: string) => Effect.Effect<A, DecodeFailed, R>
  readonly onInvalid: OnInvalid
}

/** The decoder for a codec; with `either` no document is refused. */
export const decoder = <A, R, M extends OnInvalid>(
  source: string,
  codec: Pick<Codec<A, unknown, R>, "decode">,
  onInvalid: M
): Decoder<Decoded<A, M>, R> => ({
  source,
  onInvalid,
  // The type follows from the mode, which the compiler cannot see.
  document: (onInvalid === "either"
    ? (document: unknown, name: string) => Effect.either(codec.decode(document, name))
    : codec.decode) as Decoder<Decoded<A, M>, R>["document"]
})

/**
 * The value of an event; what becomes of one that can't be decoded is up to whoever asks. Fails with `MongoError`
 * (`ChangeStreamLost`) if it has no resume token, for nothing can go on after it.
 */
export const decode = <A, R>(
  raw: Driver.Document,
  decoder: Decoder<A, R>
): Effect.Effect<Event<A>, DecodeFailed | MongoError, R> =>
  Effect.suspend((): Effect.Effect<Event<A>, DecodeFailed | MongoError, R> => {
    const { source } = decoder
    if (!isDocument(raw["_id"])) {
      return Effect.fail(
        new MongoError({ reason: "ChangeStreamLost", operation: "watch", namespace: source, labels: [] })
      )
    }
    const common = commonOf(raw, raw["_id"])
    const event = raw["splitEvent"] !== undefined ? undefined : known(raw, common, decoder)
    return event ?? Effect.succeed(other(raw))
  })

/** An event as it came. */
export const other = (raw: Driver.Document): Other => ({ _tag: "Other", ...commonOf(raw, documentOr(raw["_id"])) })

// Its kind says what it is; all else may be as a pipeline or a newer server has made it, and what is not there is left out.
const known = <A, R>(
  raw: Driver.Document,
  common: Common,
  decoder: Decoder<A, R>
): Effect.Effect<Event<A>, DecodeFailed, R> | undefined => {
  const type: unknown = raw["operationType"]
  const namespace = namespaceOf(raw["ns"], watchedBy(decoder))
  switch (type) {
    case "insert":
    case "replace":
    case "delete":
      return ofDocument(raw, { _tag: type, ...common, namespace }, decoder)
    case "update":
      return ofDocument(
        raw,
        { _tag: type, ...common, namespace, updateDescription: description(raw["updateDescription"]) },
        decoder
      )
    case "rename":
      return Effect.succeed({ _tag: type, ...common, namespace, to: namespaceOf(raw["to"]) })
    case "dropDatabase":
      return Effect.succeed({ _tag: type, ...common, namespace: { database: namespace.database } })
    case "invalidate":
      return Effect.succeed({ _tag: type, ...common })
    default:
      return isOfNamespace(type)
        ? Effect.succeed({
          _tag: type,
          ...common,
          namespace,
          operationDescription: Option.liftPredicate(isDocument)(raw["operationDescription"])
        })
        : undefined
  }
}

const ofDocument = <A, R, T extends { readonly namespace: Namespace }>(
  raw: Driver.Document,
  rest: T,
  decoder: Decoder<A, R>
) => {
  const { collection, database } = rest.namespace
  const decodeField = (field: Unavailable) =>
    Effect.transposeMapOption(
      Option.fromNullable<unknown>(raw[field]),
      (found) => decoder.document(found, `${database}.${collection}`)
    )
  return Effect.map(
    Effect.zip(decodeField("fullDocument"), decodeField("fullDocumentBeforeChange")),
    ([fullDocument, fullDocumentBeforeChange]) => ({
      ...rest,
      documentKey: documentOr(raw["documentKey"]),
      fullDocument,
      fullDocumentBeforeChange,
      unavailable: documents.filter((field) => raw[field] === null)
    })
  )
}

const documents: ReadonlyArray<Unavailable> = ["fullDocument", "fullDocumentBeforeChange"]

const commonOf = (raw: Driver.Document, token: Driver.Document): Common => ({
  document: raw,
  resumeToken: new ResumeToken(token),
  clusterTime: Option.liftPredicate(isTimestamp)(raw["clusterTime"]),
  wallTime: Option.liftPredicate(Predicate.isDate)(raw["wallTime"]),
  transaction: Option.map(
    Option.all([Option.liftPredicate(isDocument)(raw["lsid"]), integerOf(raw["txnNumber"])]),
    ([lsid, txnNumber]) => ({ lsid, txnNumber })
  )
})

const documentOr = (value: unknown): Driver.Document => isDocument(value) ? value : {}

const strings = (value: unknown): ReadonlyArray<string> => Array.isArray(value) ? value.filter(Predicate.isString) : []

const description = (value: unknown): UpdateDescription => {
  const { disambiguatedPaths, removedFields, truncatedArrays, updatedFields } = documentOr(value)
  return {
    updatedFields: documentOr(updatedFields),
    removedFields: strings(removedFields),
    truncatedArrays: Array.isArray(truncatedArrays)
      ? truncatedArrays.filter(isDocument).map(({ field, newSize }) => ({
        field: textOf(field),
        newSize: Number(textOf(newSize))
      }))
      : [],
    disambiguatedPaths: Option.liftPredicate(isDocument)(disambiguatedPaths)
  }
}

// What is watched says what the event does not.
const namespaceOf = (value: unknown, watched: Namespace = { database: "", collection: "" }): Namespace => {
  const { coll, db } = documentOr(value)
  return {
    database: typeof db === "string" ? db : watched.database,
    collection: typeof coll === "string" ? coll : watched.collection
  }
}

// The name of a database has no dot in it.
const watchedBy = <A, R>({ source }: Decoder<A, R>): Namespace | undefined => {
  const dot = source.indexOf(".")
  return dot < 0 ? undefined : { database: source.slice(0, dot), collection: source.slice(dot + 1) }
}

const ofNamespace: ReadonlySet<unknown> = new Set<NamespaceEvent["_tag"]>([
  "drop",
  "create",
  "modify",
  "createIndexes",
  "dropIndexes",
  "shardCollection",
  "refineCollectionShardKey",
  "reshardCollection"
])

const isOfNamespace = (type: unknown): type is NamespaceEvent["_tag"] => ofNamespace.has(type)
