/**
 * A collection of documents, typed by a schema: a plain value whose operations run in the ambient session and its
 * transaction, if there are any.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import * as ChangeStream from "./ChangeStream.js"
import { type Codec, isSchema, type Needs, ofOptional, type Written } from "./Codec.js"
import * as ById from "./internal/data/byId.js"
import { call, type DocumentSchema, make as makeOf } from "./internal/data/collection.js"
import { noSchema } from "./internal/data/decode.js"
import * as Indexes from "./internal/data/indexes.js"
import { type Added, operation as run, type OperationError } from "./internal/data/operation.js"
import { type Given, type Limited, over, readable, wrong } from "./internal/data/options.js"
import * as Reads from "./internal/data/reads.js"
import type { Target } from "./internal/data/request.js"
import { collectionOf, concernOf } from "./internal/data/target.js"
import * as Writes from "./internal/data/writes.js"
import { asDocuments } from "./internal/driver/readOptions.js"
import { writtenIn } from "./internal/driver/written.js"
import type { AsGiven, ClientOption, MongoClient } from "./internal/session/client.js"

export type {
  /** One write of a bulk. @since 0.1.0 @category models */
  BulkWrite
} from "./internal/data/bulkWrite.js"
export type {
  /** The operations of a collection that read by id. @since 0.1.0 @category models */
  ById
} from "./internal/data/byId.js"
export type {
  /** A schema of documents. @since 0.1.0 @category models */
  DocumentSchema
} from "./internal/data/collection.js"
export type {
  /** The operations of a collection's indexes. @since 0.1.0 @category models */
  Indexes
} from "./internal/data/indexes.js"
export type {
  /** What is added to the options of an operation. @since 0.1.0 @category models */
  Added,
  /** What any operation of data access can fail with. @since 0.1.0 @category errors */
  OperationError
} from "./internal/data/operation.js"
export type {
  /** Options of the driver, as a caller may give them. @since 0.1.0 @category options */
  Given,
  /** How long an operation may take. @since 0.1.0 @category options */
  Limited,
  /** What the time limit of a cursor is a limit of. @since 0.1.0 @category options */
  LimitedCursor,
  /** What a time limit is a limit of. @since 0.1.0 @category options */
  TimeoutMode
} from "./internal/data/options.js"
export type {
  /** What a write of one document has found, or inserted. @since 0.1.0 @category models */
  Modified,
  /** What a stream does with a document that does not fit the schema. @since 0.1.0 @category options */
  OnInvalid
} from "./internal/data/overloads.js"
export type {
  /** The operations of a collection that read. @since 0.1.0 @category models */
  Reads
} from "./internal/data/reads.js"
export type {
  /** What a bulk has done. @since 0.1.0 @category models */
  BulkWritten,
  /** The id of a document, as it is stored. @since 0.1.0 @category models */
  IdOf,
  /** What an insert of many documents has done. @since 0.1.0 @category models */
  InsertedMany,
  /** What an insert has done. @since 0.1.0 @category models */
  InsertedOne,
  /** What an update or a replacement has done. @since 0.1.0 @category models */
  Updated,
  /** The id of a document that an upsert has inserted. @since 0.1.0 @category models */
  UpsertedId
} from "./internal/data/results.js"
export type {
  /** The operations of a collection that write. @since 0.1.0 @category models */
  Writes
} from "./internal/data/writes.js"

/**
 * A collection: its values are of type `A`, its documents of type `I`, and what needs the schema needs `R`. `Client` is the
 * client that all of its operations need. Values are written as `In`, which may lack an `_id` (`Schemas.withId`). Immutable.
 *
 * Every operation runs in the ambient session, in its turn, and there in the transaction that the session is in. Its
 * options are the driver's own, but those that the library sets itself, and `out`, `dbName` and `authdb`: an operation does
 * what its name and its pipeline say, on the collection's own database. What is misuse there fails before anything is sent:
 * `InvalidInTransaction`, `UnacknowledgedWrite`, `ForeignSession`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Collection<A, I extends Driver.Document, R = never, Client = MongoClient, In = A>
  extends
    Reads.Reads<A, I, R, Client>,
    ById.ById<A, I, R, Client>,
    Writes.Writes<A, I, R, Client, In>,
    Indexes.Indexes<Client>
{
  /** The collection's name. */
  readonly name: string
  /** How values become documents, and documents values. */
  readonly codec: Codec<A, I, R, In>
  /** The changes of the collection, as they happen. Not allowed in a transaction. */
  readonly watch: <M extends ChangeStream.OnInvalid = "fail">(
    pipeline?: ReadonlyArray<Driver.Document>,
    options?: ChangeStream.Options<M>
  ) => ChangeStream.ChangeStream<ChangeStream.Decoded<A, M>, ChangeStream.WatchError, R | Client>
  /** Gives the collection another name; what it gives is the collection of that name. Not allowed in a transaction. */
  readonly rename: (
    name: string,
    options?: Given<Driver.RenameOptions>
  ) => Effect.Effect<Collection<A, I, R, Client, In>, OperationError, Client>
  /** Drops the collection; false where there is none. Not allowed in a transaction. */
  readonly drop: (options?: Given<Driver.DropCollectionOptions>) => Effect.Effect<boolean, OperationError, Client>
  /** Whether the collection is capped. Not allowed in a transaction. */
  readonly isCapped: (options?: Given<Driver.OperationOptions>) => Effect.Effect<boolean, OperationError, Client>
  /** The options that the collection was created with. Not allowed in a transaction. */
  readonly options: (
    options?: Given<Driver.OperationOptions>
  ) => Effect.Effect<Driver.Document, OperationError, Client>
  /**
   * The escape hatch: runs one operation of the driver's collection. Spread what is added into the operation's options: the
   * session, the signal, and the read concern that goes with them. The session is lent until the promise has settled, as by
   * `Session.use`. An interruption waits until the operation is done, for it may be a write, which cannot be called back; a
   * read is given up at once with `kind: "read"`.
   */
  readonly use: <X>(
    evaluate: (collection: Driver.Collection<I>, added: Added) => PromiseLike<X>,
    options?: UseOptions
  ) => Effect.Effect<X, OperationError, Client>
  /** The same collection with other concerns. What is undefined stays as it is. */
  readonly withOptions: (options: Concerns) => Collection<A, I, R, Client, In>
  /** The same collection with another read concern. */
  readonly withReadConcern: (readConcern: Driver.ReadConcernLike) => Collection<A, I, R, Client, In>
  /** The same collection with another write concern. */
  readonly withWriteConcern: (writeConcern: WriteConcernLike) => Collection<A, I, R, Client, In>
  /** The same collection with another read preference. */
  readonly withReadPreference: (readPreference: Driver.ReadPreferenceLike) => Collection<A, I, R, Client, In>
}

/**
 * A write concern in any of the driver's forms.
 *
 * @since 0.1.0
 * @category options
 */
export type WriteConcernLike = Driver.WriteConcern | Driver.WriteConcernSettings

/**
 * What holds for all operations of a collection or a database, unless an operation says otherwise. In a transaction, the
 * transaction's own hold.
 *
 * @since 0.1.0
 * @category options
 */
export interface Concerns {
  /** Default: the client's. Causally consistent sessions refuse reads with `linearizable` and `available`. */
  readonly readConcern?: Driver.ReadConcernLike | undefined
  /** Default: the client's. */
  readonly writeConcern?: WriteConcernLike | undefined
  /** Default: the client's. Reads in a transaction refuse any but `primary`. */
  readonly readPreference?: Driver.ReadPreferenceLike | undefined
  /**
   * How long an operation may take in all: at least a millisecond, or `Duration.infinity` for no limit. Default: that of the
   * database, else that of the session, else the client's. Of a change stream it limits each answer; consumers and relays have
   * no limit from session or client.
   */
  readonly timeout?: Duration.DurationInput | undefined
}

/**
 * Where a collection is, and how it is read and written by default.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<Client = MongoClient> extends Concerns, ClientOption<Client> {
  /** The name of its database. One that no server takes fails each operation. Default: the client's. */
  readonly database?: string | undefined
}

/**
 * {@link Options} with a schema.
 *
 * @since 0.1.0
 * @category options
 */
export interface TypedOptions<S extends DocumentSchema, Client = MongoClient> extends Options<Client> {
  /** A schema of `@effect/schema` or of `effect/Schema`. Default: none, documents are as they are. */
  readonly schema: S
}

/**
 * How errors and spans call an operation.
 *
 * @since 0.1.0
 * @category options
 */
export interface UseOptions extends Limited {
  /** The operation's name. Default `use`. */
  readonly operation?: string | undefined
  /**
   * What the operation is. Only a `read` is given up when it is interrupted, once it was sent; of a write that was given up
   * nobody would know whether it happens. Default `write`.
   */
  readonly kind?: "read" | "write" | undefined
}

interface UntypedOptions<Client> extends Options<Client> {
  readonly schema?: undefined
}

/**
 * A collection of that name. Nothing is sent, and the collection need not exist.
 *
 * What is stored is the encoded side of the schema. `Schema.Date` is stored as text, as are `Schema.BigInt` and the like, by
 * which MongoDB neither sorts nor computes; `Schema.DateFromSelf` and `Schema.BigIntFromSelf` are stored as what they are in
 * BSON. Whatever the client's options for reading are (`promoteLongs`, `useBigInt64`, `promoteBuffers` and so on), a value is
 * read in the form that the schema takes. An int64 of more than 53 bits is the nearest number where it takes a number, and where
 * it takes numbers and bigints, the client's options decide.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 *
 * const User = Schema.Struct({ _id: Schema.String, name: Schema.String, born: Schema.DateFromSelf })
 * const Users = Collection.make("users", { schema: User })
 *
 * export const program = Effect.gen(function*() {
 *   yield* Users.insertOne({ _id: "ada", name: "Ada", born: new Date("1815-12-10") })
 *   return yield* Users.findOne({ _id: "ada" })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: {
  <S extends DocumentSchema, Client = MongoClient>(
    name: string,
    options: TypedOptions<S, Client>
  ): Collection<S["Type"], S["Encoded"], Needs<S>, AsGiven<Client>, Written<S>>
  <Client = MongoClient>(
    name: string,
    options?: UntypedOptions<Client>
  ): Collection<Driver.Document, Driver.Document, never, AsGiven<Client>>
} = <Client>(
  name: string,
  given?: Options<Client> & { readonly schema?: DocumentSchema | undefined }
) => {
  const { schema, ...options } = readable(given) ?? {}
  const target = schema === undefined || isSchema(schema) ? options : wrong(options, noSchema)
  return of({ ...target, collection: name }, ofOptional(schema))
}

const of = <A, I extends Driver.Document, R, C, In>(
  target: Target<C> & { readonly collection: string },
  codec: Codec<A, I, R, In>
): Collection<A, I, R, C, In> => {
  const self = makeOf(target, codec)
  const whole = (name: string, kind: "read" | "write", options: object | undefined) =>
    ({ name, kind, options, inTransaction: false }) as const
  const withOptions = (options: Concerns) => of(over(target, options), codec)
  return {
    ...Reads.make(self),
    ...ById.make(self),
    ...Writes.make(self),
    ...Indexes.make(self),
    name: target.collection,
    codec,
    watch: (pipeline, options) => ChangeStream.watch(target, codec, pipeline, options),
    rename: (name, options) =>
      Effect.as(
        call(
          self,
          { ...whole("rename", "write", options), collection: name },
          (collection, given: Driver.RenameOptions) => collection.rename(name, { ...concernOf(target), ...given })
        ),
        of({ ...target, collection: name }, codec)
      ),
    drop: (options) =>
      call(
        self,
        whole("drop", "write", options),
        (collection, given: Driver.DropCollectionOptions) => collection.drop({ ...concernOf(target), ...given })
      ),
    isCapped: (options) =>
      call(
        self,
        whole("isCapped", "read", options),
        (collection, given: Driver.OperationOptions) => collection.isCapped({ ...given, ...asDocuments })
      ),
    options: (options) =>
      call(
        self,
        whole("options", "read", options),
        (collection, given: Driver.OperationOptions) => collection.options({ ...given, ...asDocuments })
      ),
    use: (evaluate, given) => {
      const { kind = "write", operation = "use", ...options }: UseOptions = readable(given) ?? {}
      // One of its own: what is done with it may leave out the read concern, but not share it with other sessions.
      return run(
        target,
        { name: operation, kind: "read", isCode: true, mayWrite: kind === "write", writtenIn, options },
        (db, added) => evaluate(collectionOf(db, target, added), added)
      )
    },
    withOptions,
    withReadConcern: (readConcern) => withOptions({ readConcern }),
    withWriteConcern: (writeConcern) => withOptions({ writeConcern }),
    withReadPreference: (readPreference) => withOptions({ readPreference })
  }
}
