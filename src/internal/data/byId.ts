/**
 * Reads documents by their ids: all that are asked for at once, in one session and transaction, by one command.
 */
import * as Arr from "effect/Array"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import * as Request from "effect/Request"
import * as RequestResolver from "effect/RequestResolver"
import type * as Driver from "mongodb"
import type { DecodeFailed } from "../../SessionErrors.js"
import { clientIn } from "../session/client.js"
import { sessionIn } from "../session/service.js"
import { turnOf } from "../session/turn.js"
import { Around } from "../telemetry/outside.js"
import { call, type Of } from "./collection.js"
import { keyOf } from "./ids.js"
import { type OperationError, withNamespace } from "./operation.js"
import { refusalOf } from "./values.js"

/** The id of a document, as it is stored. */
export type IdOf<I> = string extends keyof I ? unknown : Driver.WithId<I>["_id"]

/**
 * The operations that read by id. Each is a `Request` of Effect's: with `{ batching: true }` on an `Effect.forEach` or
 * `Effect.all`, what is asked for at once, in one session and transaction, is read by one command.
 *
 * @since 0.1.0
 * @category models
 */
export interface ById<A, I extends Driver.Document, R, C> {
  /**
   * The document with this id, which is always a value: `{ $ne: null }` is no operator here. `Effect.withRequestCaching`
   * keeps it: in a transaction for the attempt, elsewhere for the session.
   *
   * @example
   * ```ts
   * import * as Collection from "effect-mongo-session/Collection"
   * import * as Effect from "effect/Effect"
   * import * as Schema from "effect/Schema"
   *
   * const Users = Collection.make("users", { schema: Schema.Struct({ _id: Schema.String, name: Schema.String }) })
   *
   * // One command for all of them.
   * export const members = (ids: ReadonlyArray<string>) => Effect.forEach(ids, Users.findById, { batching: true })
   * ```
   */
  readonly findById: (id: IdOf<I>) => Effect.Effect<Option.Option<A>, OperationError | DecodeFailed, R | C>
  /** The documents with these ids, in their order, read by one command; for an id without a document, a `None`. */
  readonly findByIds: (
    ids: Iterable<IdOf<I>>
  ) => Effect.Effect<Array<Option.Option<A>>, OperationError | DecodeFailed, R | C>
  /** Whether there is a document with this id. Nothing else of it is read. */
  readonly exists: (id: IdOf<I>) => Effect.Effect<boolean, OperationError, C>
}

/** What is read of a document: all, or only that it is there. */
type Kind = "findById" | "exists"

/** A collection of whatever type. What it needs is in the context of each request. */
type AnyOf = Of<unknown, Driver.Document, never, never>

/** Where a request is run: those of one place are run as one. */
interface Place {
  readonly of: AnyOf
  readonly kind: Kind
  readonly client: object
  readonly session: object | string | undefined
  readonly turn: object | undefined
  readonly outside: object | undefined
}

const isSamePlace = (left: Place, right: Place): boolean =>
  left.of === right.of && left.kind === right.kind && left.client === right.client &&
  left.session === right.session && left.turn === right.turn && left.outside === right.outside

class ReadById extends Request.Class<Option.Option<unknown>, OperationError | DecodeFailed, {
  readonly id: unknown
  readonly key: string | undefined
  readonly place: Place
  readonly context: Context.Context<never>
}> {
  // The same document at the same place, for a cache of requests.
  [Equal.symbol](that: Equal.Equal): boolean {
    return that instanceof ReadById && isSamePlace(this.place, that.place) &&
      (this.key === undefined ? this.id === that.id : this.key === that.key)
  }
  [Hash.symbol](): number {
    return Hash.string(this.key ?? "")
  }
}

/** The operations of a collection that read by id. */
export const make = <A, I extends Driver.Document, R, C>(of: Of<A, I, R, C>): ById<A, I, R, C> => {
  const ask = (kind: Kind, id: unknown): Effect.Effect<Option.Option<unknown>, OperationError | DecodeFailed, C> =>
    withNamespace(of.target, (namespace) =>
      Effect.withFiberRuntime((fiber) => {
        const refused = refusalOf({ values: [{ _id: id }] }, kind, namespace)
        if (refused !== undefined) return Effect.fail(refused)
        const { currentContext: context } = fiber
        const client = clientIn(fiber, of.target)
        const session = sessionIn(fiber, client)
        const place: Place = {
          of: of as unknown as AnyOf,
          kind,
          client: client.driver,
          session: session === "foreign" ? session : Option.getOrUndefined(session),
          turn: turnOf(context),
          outside: context.unsafeMap.get(Around.key)
        }
        const request = new ReadById({ id, key: keyOf(id), place, context })
        return Effect.request(request, resolver)
      }))
  const findById: ById<A, I, R, C>["findById"] = (id) =>
    // What the collection's codec gives is of its type.
    ask("findById", id) as Effect.Effect<Option.Option<A>, OperationError | DecodeFailed, R | C>
  return {
    findById,
    findByIds: (ids) => Effect.forEach(Arr.fromIterable(ids), (id) => findById(id), { batching: true }),
    exists: (id) =>
      // Nothing is decoded.
      Effect.map(Effect.catchTag(ask("exists", id), "DecodeFailed", Effect.die), Option.isSome)
  }
}

/** How many ids one command has at most. */
const largestBatch = 10_000

const resolver = RequestResolver.makeBatched((requests: ReadonlyArray<ReadById>) => {
  const places: Array<{ readonly place: Place; readonly requests: Array<ReadById> }> = []
  for (const request of requests) {
    const known = places.find(({ place }) => isSamePlace(place, request.place))
    if (known === undefined) places.push({ place: request.place, requests: [request] })
    else known.requests.push(request)
  }
  return Effect.forEach(places, ({ place, requests }) => readAll(place, requests), {
    concurrency: "unbounded",
    discard: true
  })
})

/** Who asked for one id. */
type Askers = Arr.NonEmptyArray<ReadById>

const readAll = (place: Place, requests: ReadonlyArray<ReadById>): Effect.Effect<void> => {
  const alone: Array<Askers> = []
  const together = new Map<string, Askers>()
  for (const request of requests) {
    const askers = request.key === undefined ? undefined : together.get(request.key)
    if (askers !== undefined) askers.push(request)
    else if (request.key === undefined) alone.push([request])
    else together.set(request.key, [request])
  }
  return Effect.andThen(
    Effect.forEach(Arr.chunksOf(together.values(), largestBatch), (chunk) => readChunk(place, chunk), {
      discard: true
    }),
    Effect.forEach(alone, (askers) => readOne(place, askers), { discard: true })
  )
}

const readChunk = (place: Place, chunk: Arr.NonEmptyReadonlyArray<Askers>): Effect.Effect<void> => {
  const [first] = chunk
  if (chunk.length === 1) return readOne(place, first)
  const missing = new Map(chunk.map((askers) => [askers[0].key, askers]))
  return Effect.matchCauseEffect(find(place, first, { $in: chunk.map(([{ id }]) => id) }), {
    onFailure: (cause) => Effect.forEach(chunk, (askers) => answer(askers, Exit.failCause(cause)), { discard: true }),
    onSuccess: (found) => {
      const answers = found.flatMap(({ id, value }) => {
        const key = keyOf(id)
        const askers = missing.get(key)
        missing.delete(key)
        return askers === undefined ? [] : [answer(askers, valueOf(value))]
      })
      // A document by another id than those that were asked for: the collection compares them in a way of its own.
      const rest = answers.length < found.length
        ? (askers: Askers) => readOne(place, askers)
        : (askers: Askers) => answer(askers, Exit.succeed(Option.none()))
      return Effect.andThen(
        Effect.all(answers, { discard: true }),
        Effect.suspend(() => Effect.forEach(missing.values(), rest, { discard: true }))
      )
    }
  })
}

const readOne = (place: Place, askers: Askers): Effect.Effect<void> =>
  Effect.flatMap(
    Effect.exit(find(place, askers, { $eq: askers[0].id })),
    (exit) => answer(askers, Exit.flatMap(exit, ([found]) => found === undefined ? none : valueOf(found.value)))
  )

const none: Exit.Exit<Option.Option<unknown>> = Exit.succeed(Option.none())

/** A document that was found. */
interface Found {
  readonly id: unknown
  readonly value: Either.Either<unknown, DecodeFailed>
}

const valueOf = (value: Found["value"]): Exit.Exit<Option.Option<unknown>, DecodeFailed> =>
  Either.match(value, { onLeft: Exit.fail, onRight: (found) => Exit.succeed(Option.some(found)) })

const answer = (
  askers: Askers,
  exit: Exit.Exit<Option.Option<unknown>, OperationError | DecodeFailed>
): Effect.Effect<void> => Effect.forEach(askers, (request) => Request.complete(request, exit), { discard: true })

const find = (
  { kind, of }: Place,
  [{ context }]: Askers,
  condition: Driver.Document
): Effect.Effect<ReadonlyArray<Found>, OperationError | DecodeFailed> => {
  const filter = { _id: condition }
  const options: Driver.FindOptions = kind === "exists" ? { projection: { _id: 1 } } : {}
  const documents = call(
    of,
    { name: kind, kind: "read", options, values: [filter] },
    (collection, given: Driver.FindOptions) => collection.find(filter, { ...given, batchSize: largestBatch }).toArray()
  )
  return Effect.flatMap(documents, (found) =>
    Effect.map(
      kind === "exists"
        ? Effect.succeed(found.map(() => Either.void))
        : withNamespace(of.target, (namespace) => of.codec.decodeAll(found, namespace)),
      (values) => Arr.zipWith(found, values, ({ _id: id }, value): Found => ({ id, value }))
    )).pipe(Effect.mapInputContext(() => context))
}
