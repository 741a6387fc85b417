/**
 * Streams of what the server lists: sessions and transactions, decoded.
 */
import * as Arr from "effect/Array"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { ParseError } from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Take from "effect/Take"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import { DecodeFailed, type SessionMisconfigured } from "../../SessionErrors.js"
import { misconfiguredBy } from "../data/refused.js"
import { call } from "../driver/call.js"
import { connected } from "../driver/client.js"
import * as DriverCursor from "../driver/cursor.js"
import { asReplies } from "../driver/readOptions.js"
import { type AsGiven, clientOf, type ClientOption, inner, type MongoClient, type Service } from "../session/client.js"
import { closingStep, errorName } from "../telemetry/close.js"
import * as Log from "../telemetry/log.js"
import * as Operations from "../telemetry/operations.js"
import { readable } from "../values/options.js"
import { documentsOf, ofUser, type User } from "./patterns.js"
import * as Replies from "./replies.js"

/**
 * Whose sessions to list. Default: those of the authenticated user; everybody's where access control is off.
 *
 * @since 0.1.0
 * @category options
 */
export type ListOptions<Client = MongoClient> =
  & ClientOption<Client>
  & ({
    /** Those of everybody; needs the privilege `listSessions`. Default `false`. */
    readonly allUsers?: boolean | undefined
    readonly users?: undefined
  } | {
    /** Those of these users; needs the privilege `listSessions` for others than oneself. */
    readonly users: Iterable<User>
    readonly allUsers?: false | undefined
  })

/**
 * Whose transactions to list. Default: those of the authenticated user; everybody's where access control is off.
 *
 * @since 0.1.0
 * @category options
 */
export interface TransactionListOptions<Client = MongoClient> extends ClientOption<Client> {
  /** Those of everybody; needs the privilege `inprog`, which mongos asks for in any case. Default `false`. */
  readonly allUsers?: boolean | undefined
}

/** What is listed, and where. */
export interface Listing<A, I> {
  /** What errors call it. */
  readonly name: string
  readonly database: string
  /** None: the stages ask the server itself, not a collection. */
  readonly collection?: string | undefined
  readonly pipeline: ReadonlyArray<Driver.Document>
  readonly entry: Schema.Schema<A, I>
}

/**
 * Runs the pipeline each time the stream is run, and closes the cursor when the stream ends, fails, or is not read any
 * further. A chunk is a batch of the server. Entries before one that cannot be decoded still arrive.
 *
 * The cursor gets no AbortSignal, and an interruption waits for the batch in flight: at an abort, the driver would send
 * `killCursors` beside a `getMore` that is still running in the same session.
 */
const list = <A, I>(client: Service, listing: Listing<A, I>): Stream.Stream<A, MongoError | DecodeFailed> =>
  Stream.acquireRelease(
    Effect.sync(() => open(client.driver, listing)),
    (cursor) => {
      const close = (send: Send = (evaluate) => evaluate()) => Effect.tryPromise(() => send(() => cursor.close()))
      return closingStep(
        `cursor of ${listing.name}`,
        client.closeTimeout,
        Effect.suspend(() => isOpen(cursor) ? observed(client, listing, "killCursors", close) : close()),
        errorName
      )
    }
  ).pipe(
    Stream.flatMap((cursor) => Stream.repeatEffectChunkOption(nextBatch(client, listing, cursor))),
    Stream.flattenTake
  )

const open = (
  driver: Driver.MongoClient,
  { collection, database, pipeline }: Pick<Listing<unknown, unknown>, "collection" | "database" | "pipeline">
) => {
  const db = driver.db(database)
  return collection === undefined
    ? db.aggregate([...pipeline], cursorOptions())
    : db.collection(collection).aggregate([...pipeline], cursorOptions())
}

// Made anew each time: the driver writes into the read concern that it is given. Its level is the only one that stages
// about the server itself allow, whatever the client's is. BSON is read alike for every client.
const cursorOptions = (): Driver.AggregateOptions => ({
  readConcern: { level: "local" },
  ...asReplies,
  useBigInt64: true
})

const nextBatch = <A, I>(
  client: Service,
  { collection, database, entry, name }: Listing<A, I>,
  cursor: Driver.AggregationCursor
) => {
  const decode = Schema.decodeUnknownEither(entry)
  const namespace = collection === undefined ? database : `${database}.${collection}`
  const { settleTimeout } = client
  return Effect.suspend(() =>
    DriverCursor.isExhausted(cursor)
      ? Effect.fail(Option.none())
      : observed(client, { database, collection }, isOpen(cursor) ? "getMore" : name, (send) =>
        connected(
          client.driver,
          call(
            { operation: name, namespace, settleTimeout, onUnsettled: Log.unsettled },
            () => send(() => DriverCursor.nextBatch(cursor))
          )
        )).pipe(
          Effect.mapBoth({
            onFailure: Option.some,
            onSuccess: (documents) => takes(documents.map((document) => decode(document)), name)
          })
        )
  )
}

const isOpen = (cursor: Driver.AggregationCursor): boolean =>
  cursor.id !== undefined && !DriverCursor.isExhausted(cursor)

/** Sends what an operation is. */
type Send = <A>(evaluate: () => PromiseLike<A>) => PromiseLike<A>

// An operation with its span and its duration.
const observed = <A, E>(
  client: Service,
  { collection, database }: Pick<Listing<unknown, unknown>, "collection" | "database">,
  name: string,
  run: (send: Send) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Operations.operation(client[inner].observer, { name, database, collection }, (observed) =>
    run((evaluate) => {
      observed.begins(undefined, () => client.driver.options.readPreference.mode === "primary")
      return observed.sends(evaluate)
    }))

const takes = <A>(
  entries: ReadonlyArray<Either.Either<A, ParseError>>,
  name: string
): Chunk.Chunk<Take.Take<A, DecodeFailed>> => {
  const good = Take.chunk(Chunk.unsafeFromArray(Arr.getRights(Arr.takeWhile(entries, Either.isRight))))
  return Option.match(Arr.findFirst(entries, Either.isLeft), {
    onNone: () => Chunk.of(good),
    onSome: ({ left }) => Chunk.make(good, Take.fail(DecodeFailed.fromParseError(`reply of ${name}`, left)))
  })
}

/** The sessions that the stage with this name lists. */
export const sessions = <Client>(
  name: "listSessions" | "listLocalSessions",
  place: { readonly database: string; readonly collection?: string },
  options: ListOptions<Client> | undefined
): Stream.Stream<Replies.ListedSession, SessionMisconfigured | MongoError | DecodeFailed, AsGiven<Client>> => {
  const read = Either.flatMap(
    readable(options),
    (given: ListOptions<Client> = {}) =>
      Either.map(
        given.users === undefined ? Either.right(undefined) : documentsOf(given.users, ofUser, "users"),
        (users) => ({ ...given, users })
      )
  )
  if (Either.isLeft(read)) return Stream.fail(read.left)
  const { allUsers, client, users } = read.right
  // The server would list one's own for an empty list of users.
  if (users?.length === 0) return Stream.empty
  const whose = users === undefined ? allUsers === true ? { allUsers } : {} : { users }
  return Stream.unwrap(Effect.map(clientOf({ client }), (client) =>
    Stream.map(
      list(client, { name, ...place, pipeline: [{ [`$${name}`]: whose }], entry: Replies.listedSession }),
      Replies.toListedSession
    )))
}

/** The transactions that are open. */
export const transactions = <Client>(
  given: TransactionListOptions<Client> | undefined
): Stream.Stream<Replies.CurrentTransaction, MongoError | DecodeFailed, AsGiven<Client>> => {
  const read = misconfiguredBy(readable(given), "currentTransactions")
  return Stream.unwrap(Effect.flatMap(read, (options) =>
    Effect.map(clientOf(options), (client) =>
      Stream.map(
        list(client, {
          name: "currentTransactions",
          database: "admin",
          pipeline: [
            { $currentOp: { allUsers: options?.allUsers ?? false, idleSessions: true } },
            // A retryable write has a transaction number as well, but no autocommit.
            { $match: { "transaction.parameters.autocommit": { $exists: true } } }
          ],
          entry: Replies.operation
        }),
        Replies.toCurrentTransaction
      ))))
}
