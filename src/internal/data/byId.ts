/**
 * Reads documents by their ids: all that are asked for at once, in one session and transaction, by one command.
 */
import * as Arr from "effect/Array"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Request from "effect/Request"
import * as RequestResolver from "effect/RequestResolver"
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import type { DecodeFailed } from "../../SessionErrors.js"
import { asDocuments } from "../driver/readOptions.js"
import { clientIn } from "../session/client.js"
import { sessionIn } from "../session/service.js"
import { turnOf } from "../session/turn.js"
import { Around } from "../telemetry/outside.js"
import { tried } from "../values/fault.js"
import { hasText, keyOf } from "../values/ids.js"
import { call, type Of } from "./collection.js"
import { exactly } from "./decode.js"
import { type OperationError } from "./operation.js"
import { asRead } from "./options.js"
import type { IdOf } from "./results.js"
import { refuse, withNamespace } from "./target.js"
import { weightOf } from "./values.js"

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
   * keeps it: in a transaction for the attempt, elsewhere for the session, and without one for whatever lives as long as the
   * cache of requests (one minute, for the whole process, unless `Effect.withRequestCache` sets another one). A failure is
   * not kept.
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

// The answer is the document as it is stored: who asks decodes it, with the services that it has itself.
class ReadById extends Request.Class<Option.Option<Driver.Document>, OperationError, {
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
export const make = <A, I extends Driver.Document, R, C, In>(of: Of<A, I, R, C, In>): ById<A, I, R, C> => {
  const ask = (kind: Kind, id: unknown): Effect.Effect<Option.Option<Driver.Document>, OperationError, C> =>
    withNamespace(of.target, (namespace) =>
      Effect.withFiberRuntime((fiber) => {
        const weight = weightOf({ values: [{ _id: id }] }, kind, namespace)
        if (weight instanceof MongoError) return Effect.fail(weight)
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
        // A cache would keep the failure, and who asks again would get it.
        return Effect.onError(
          Effect.request(request, resolver),
          () => Effect.flatMap(FiberRef.get(FiberRef.currentRequestCache), (cache) => cache.invalidate(request))
        )
      }))
  const findById: ById<A, I, R, C>["findById"] = (id) =>
    Effect.flatMap(
      ask("findById", id),
      Option.match({
        onNone: () => Effect.succeedNone,
        onSome: (document) =>
          withNamespace(of.target, (namespace) => Effect.asSome(of.codec.decode(document, namespace)))
      })
    )
  return {
    findById,
    findByIds: (ids) => {
      const all = tried(() => Predicate.isIterable(ids) ? Arr.fromIterable(ids) : undefined)
      return all === undefined
        ? refuse(of.target, "findByIds", "The ids are a list of them.")
        : Effect.forEach(all, (id) => findById(id), { batching: true })
    },
    exists: (id) => Effect.map(ask("exists", id), Option.isSome)
  }
}

/** How many ids one command has at most, and about how many characters they have together. */
const largestBatch = 10_000
const longestBatch = 2 ** 22

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

/** Ids that are read by one command, each with who asked for it. */
type Batch = Arr.NonEmptyReadonlyArray<Askers>

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
    Effect.forEach(batchesOf(together), (batch) => readBatch(place, batch), { discard: true }),
    Effect.forEach(alone, (askers) => readOne(place, askers), { discard: true })
  )
}

// A command of more bytes than the server takes would fail for all of them.
const batchesOf = (ids: ReadonlyMap<string, Askers>): ReadonlyArray<Batch> => {
  const batches: Array<Arr.NonEmptyArray<Askers>> = []
  let length = 0
  for (const [key, askers] of ids) {
    const last = batches.at(-1)
    length += key.length
    if (last !== undefined && last.length < largestBatch && length <= longestBatch) last.push(askers)
    else {
      batches.push([askers])
      length = key.length
    }
  }
  return batches
}

const readBatch = (place: Place, batch: Batch): Effect.Effect<void> => {
  const [first] = batch
  if (batch.length === 1) return readOne(place, first)
  return forAll(batch, find(place, first, among(batch)), (found) => {
    const missing = new Map(batch.map((askers) => [askers[0].key, askers]))
    const answers = found.flatMap((document) => {
      const key = keyOf(document["_id"])
      const askers = missing.get(key)
      missing.delete(key)
      return askers === undefined ? [] : [answer(askers, Exit.succeed(Option.some(document)))]
    })
    const rest = Arr.fromIterable(missing.values())
    return Effect.andThen(
      Effect.all(answers, { discard: true }),
      // A document by another id than those that were asked for: the collection compares them in a way of its own.
      answers.length < found.length ? readEach(place, rest) : readMissing(place, rest, found)
    )
  })
}

/**
 * Those for which nothing was found. A collection may take two texts for the same, and then one document is there for both:
 * only the server knows.
 */
const readMissing = (
  place: Place,
  missing: ReadonlyArray<Askers>,
  found: ReadonlyArray<Driver.Document>
): Effect.Effect<void> => {
  const isComparable = found.some(({ _id: id }) => hasText(keyOf(id)))
  const [absent, unsure] = Arr.partition(missing, ([{ key }]) => isComparable && hasText(key))
  const answerNone = (all: ReadonlyArray<Askers>) =>
    Effect.forEach(all, (askers) => answer(askers, none), { discard: true })
  return Effect.andThen(
    answerNone(absent),
    Arr.isNonEmptyReadonlyArray(unsure) && unsure.length > 1
      ? forAll(
        unsure,
        find(place, unsure[0], among(unsure)),
        (again) => again.length === 0 ? answerNone(unsure) : readEach(place, unsure)
      )
      : readEach(place, unsure)
  )
}

const readEach = (place: Place, all: ReadonlyArray<Askers>): Effect.Effect<void> =>
  Effect.forEach(all, (askers) => readOne(place, askers), { discard: true })

const readOne = (place: Place, askers: Askers): Effect.Effect<void> =>
  Effect.flatMap(
    Effect.exit(find(place, askers, { $eq: askers[0].id })),
    (exit) => answer(askers, Exit.map(exit, Arr.head))
  )

/** Goes on with what a command has found; what it fails with is the answer for all. */
const forAll = (
  batch: Batch,
  found: Effect.Effect<ReadonlyArray<Driver.Document>, OperationError>,
  next: (found: ReadonlyArray<Driver.Document>) => Effect.Effect<void>
): Effect.Effect<void> =>
  Effect.matchCauseEffect(found, {
    onFailure: (cause) => Effect.forEach(batch, (askers) => answer(askers, Exit.failCause(cause)), { discard: true }),
    onSuccess: next
  })

const among = (batch: Batch): Driver.Document => ({ $in: batch.map(([{ id }]) => id) })

const none: Exit.Exit<Option.Option<Driver.Document>> = Exit.succeed(Option.none())

const answer = (
  askers: Askers,
  exit: Exit.Exit<Option.Option<Driver.Document>, OperationError>
): Effect.Effect<void> => Effect.forEach(askers, (request) => Request.complete(request, exit), { discard: true })

const find = (
  { kind, of }: Place,
  [{ context }]: Askers,
  condition: Driver.Document
): Effect.Effect<ReadonlyArray<Driver.Document>, OperationError> => {
  const filter = { _id: condition }
  const options: Driver.FindOptions = kind === "exists"
    ? asRead({ projection: { _id: 1 }, ...asDocuments })
    : asRead({ ...asDocuments, ...exactly(of.codec) })
  return Effect.mapInputContext(
    call(
      of,
      { name: kind, kind: "read", canLock: true, options, values: [filter] },
      (collection, given: Driver.FindOptions) =>
        collection.find(filter, { ...given, batchSize: largestBatch }).toArray()
    ),
    () => context
  )
}
