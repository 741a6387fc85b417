/**
 * Turns the server's change events into values.
 *
 * Fields that are not named are let through: every version of the server adds some. Values are told by their brand, for the
 * client may come from another copy of the driver.
 */
import type * as ParseResult from "@effect/schema/ParseResult"
import * as Schema from "@effect/schema/Schema"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Driver from "mongodb"
import type { Common, Event, Namespace, NamespaceEvent } from "../../ChangeEvent.js"
import type { Codec } from "../../Codec.js"
import { MongoError } from "../../MongoError.js"
import { ResumeToken } from "../../ResumeToken.js"
import { DecodeFailed } from "../../SessionErrors.js"

/** What becomes of an event that can't be decoded: the stream fails, it is left out, or it tells so itself. */
export type OnInvalid = "fail" | "skip" | "either"

/** The type of the documents in events. */
export type Decoded<A, M extends OnInvalid> = M extends "either" ? Either.Either<A, DecodeFailed> : A

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
 * The value of an event; none if it is to be left out. Fails with `MongoError` (`ChangeStreamLost`) if it has no resume
 * token, for nothing can go on after it.
 */
export const decode = <A, R>(
  raw: Driver.Document,
  decoder: Decoder<A, R>
): Effect.Effect<Option.Option<Event<A>>, DecodeFailed | MongoError, R> =>
  Effect.suspend((): Effect.Effect<Option.Option<Event<A>>, DecodeFailed | MongoError, R> => {
    const { onInvalid, source } = decoder
    if (!isDocument(raw["_id"])) {
      return Effect.fail(
        new MongoError({ reason: "ChangeStreamLost", operation: "watch", namespace: source, labels: [] })
      )
    }
    const common = commonOf(raw, raw["_id"])
    const other = (issue: Option.Option<DecodeFailed>): Event<A> => ({ _tag: "Other", ...common, document: raw, issue })
    const event = raw["splitEvent"] !== undefined ? undefined : known(raw, common, decoder)
    if (event === undefined) return Effect.succeedSome(other(Option.none()))
    switch (onInvalid) {
      case "fail":
        return Effect.asSome(event)
      case "skip":
        return Effect.option(event)
      case "either":
        return Effect.asSome(Effect.catchAll(event, (issue) => Effect.succeed(other(Option.some(issue)))))
    }
  })

const known = <A, R>(
  raw: Driver.Document,
  common: Common,
  decoder: Decoder<A, R>
): Effect.Effect<Event<A>, DecodeFailed, R> | undefined => {
  const type: unknown = raw["operationType"]
  const parse = <B>(form: Form<B>) =>
    Either.mapLeft(
      form(raw),
      (error) => DecodeFailed.fromParseError(`change event of ${decoder.source}`, error)
    )
  switch (type) {
    case "insert":
    case "replace":
    case "delete":
      return Effect.flatMap(parse(forms.document), (event) => ofDocument(event, { _tag: type, ...common }, decoder))
    case "update":
      return Effect.flatMap(
        Effect.zip(parse(forms.document), parse(forms.update)),
        ([event, { updateDescription }]) =>
          ofDocument(event, { _tag: type, ...common, updateDescription: description(updateDescription) }, decoder)
      )
    case "rename":
      return Effect.map(parse(forms.rename), ({ ns, to }) => ({
        _tag: type,
        ...common,
        namespace: namespace(ns),
        to: namespace(to)
      }))
    case "dropDatabase":
      return Effect.map(parse(forms.database), ({ ns }) => ({ _tag: type, ...common, namespace: { database: ns.db } }))
    case "invalidate":
      return Effect.succeed({ _tag: type, ...common })
    default:
      return isOfNamespace(type)
        ? Effect.map(parse(forms.namespace), ({ ns, operationDescription }) => ({
          _tag: type,
          ...common,
          namespace: namespace(ns),
          operationDescription: Option.fromNullable(operationDescription)
        }))
        : undefined
  }
}

const ofDocument = <A, R, T>(event: Fields, rest: T, decoder: Decoder<A, R>) => {
  const { database, collection } = namespace(event.ns)
  const decodeSome = (document: Driver.Document | null | undefined) =>
    Effect.transposeMapOption(
      Option.fromNullable(document),
      (found) => decoder.document(found, `${database}.${collection}`)
    )
  return Effect.map(
    Effect.zip(decodeSome(event.fullDocument), decodeSome(event.fullDocumentBeforeChange)),
    ([fullDocument, fullDocumentBeforeChange]) => ({
      ...rest,
      namespace: { database, collection },
      documentKey: event.documentKey,
      fullDocument,
      fullDocumentBeforeChange
    })
  )
}

const commonOf = (raw: Driver.Document, token: Driver.Document): Common => ({
  resumeToken: new ResumeToken(token),
  clusterTime: Option.liftPredicate(isTimestamp)(raw["clusterTime"]),
  wallTime: Option.liftPredicate(Predicate.isDate)(raw["wallTime"]),
  transaction: Option.map(
    Option.all([Option.liftPredicate(isDocument)(raw["lsid"]), integerOf(raw["txnNumber"])]),
    ([lsid, txnNumber]) => ({ lsid, txnNumber })
  )
})

// As such or as a type of the driver's, as the client's options are.
const integerOf = (value: unknown): Option.Option<bigint> =>
  /^-?\d+$/.test(String(value)) ? Option.some(BigInt(String(value))) : Option.none()

const isTimestamp = (value: unknown): value is Driver.Timestamp =>
  Predicate.hasProperty(value, "_bsontype") && value._bsontype === "Timestamp"

const isDocument = (value: unknown): value is Driver.Document => Predicate.isRecord(value) && !("_bsontype" in value)

const Document = Schema.declare(isDocument, { description: "a document" })

const OptionalDocument = Schema.optional(Schema.NullOr(Document))

const Ns = Schema.Struct({ db: Schema.String, coll: Schema.String })

const Fields = Schema.Struct({
  ns: Ns,
  documentKey: Document,
  fullDocument: OptionalDocument,
  fullDocumentBeforeChange: OptionalDocument
})

type Fields = typeof Fields.Type

const Strings = Schema.optionalWith(Schema.Array(Schema.String), { nullable: true, default: () => [] })

const Size = Schema.transform(Schema.Unknown, Schema.Int, { strict: true, decode: Number, encode: (size) => size })

const Description = Schema.Struct({
  updatedFields: Schema.optionalWith(Document, { nullable: true, default: () => ({}) }),
  removedFields: Strings,
  truncatedArrays: Schema.optionalWith(
    Schema.Array(Schema.Struct({ field: Schema.String, newSize: Size })),
    { nullable: true, default: () => [] }
  ),
  disambiguatedPaths: OptionalDocument
})

const description = ({ disambiguatedPaths, ...rest }: typeof Description.Type) => ({
  ...rest,
  disambiguatedPaths: Option.fromNullable(disambiguatedPaths)
})

// Built once: a decoder is not cheap to make.
const forms = {
  document: Schema.decodeUnknownEither(Fields),
  update: Schema.decodeUnknownEither(Schema.Struct({ updateDescription: Description })),
  namespace: Schema.decodeUnknownEither(Schema.Struct({ ns: Ns, operationDescription: OptionalDocument })),
  rename: Schema.decodeUnknownEither(Schema.Struct({ ns: Ns, to: Ns })),
  database: Schema.decodeUnknownEither(Schema.Struct({ ns: Schema.Struct({ db: Schema.String }) }))
}

type Form<B> = (raw: unknown) => Either.Either<B, ParseResult.ParseError>

const namespace = ({ coll, db }: typeof Ns.Type): Namespace => ({ database: db, collection: coll })

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
