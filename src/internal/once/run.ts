/**
 * Runs an effect once for a key: takes the key, runs the effect and stores its result in one transaction, or gives the
 * result that is stored.
 *
 * A run writes the key twice in its transaction: before the effect, so that no other run begins; and after it, with the
 * result. Fewer commands can't do that, so one that has no result to store saves the second write.
 *
 * The key is taken by an upsert that changes nothing where the key is there. The unique `_id` decides between two runs at
 * once, whatever their snapshots: the server refuses the later one with a write conflict, for which the transaction is run
 * again. So waiting for another run is nothing but the retries of a transaction, and they are bounded by `wait`.
 *
 * All is committed with the write concern `majority`, answers too, so that no answer is given that a failover takes back.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Codec } from "../../Codec.js"
import { MongoError } from "../../MongoError.js"
import { InProgress, KeyReused } from "../../OnceErrors.js"
import {
  CommitUnknown,
  DecodeFailed,
  type OnceError,
  type SessionMisconfigured,
  TransactionAborted,
  type TransactionDoomed,
  TransactionEnded
} from "../../SessionErrors.js"
import * as Transaction from "../../Transaction.js"
import { hasReason, newId } from "../changes/checkpoint.js"
import type { Target } from "../data/request.js"
import { withNamespace } from "../data/target.js"
import { storable } from "../data/values.js"
import * as Backoff from "../transaction/backoff.js"
import { innermostOf, type Part } from "../transaction/part.js"
import type { Inside } from "../transaction/start.js"
import { givenIn, issuesIn, readable, refusalOf } from "../values/options.js"
import { runningIn, watch, whileRunning } from "./around.js"
import { isOfLibrary } from "./declared.js"
import { type Decoded, issuesOf, type RunOptions } from "./options.js"
import { decide, idOf, type State } from "./record.js"
import { attemptOf, claim, type Expiry, finish, isTaken } from "./store.js"

/** What is run once. */
export interface Kind<A, F, R, C> {
  readonly name: string
  /** What its keys begin with, as those of no other. */
  readonly prefix: string
  readonly target: Target<C>
  readonly options: Either.Either<Decoded, SessionMisconfigured>
  /** Absent: there is no result to store. */
  readonly result: Codec<A, unknown, R> | undefined
  /** Absent: no failure is an answer. */
  readonly failure: Codec<F, unknown, R> | undefined
  readonly expiry: Expiry<C>
}

/** See `Once.run`. The guard runs in each transaction that stores a declared failure by itself. */
export const run = <A, F, R, C, E, R2, OR = never>(
  kind: Kind<A, F, R, C>,
  key: string,
  effect: Effect.Effect<A, E, R2>,
  given?: RunOptions<OR>,
  guard: Effect.Effect<void, E, R2> = Effect.void
): Effect.Effect<A, E | F | OnceError, C | R | OR | Inside<R2>> =>
  Effect.suspend(() => {
    if (Either.isLeft(kind.options)) return kind.options.left
    const read = readable(given)
    const options = givenIn(read)
    const refused = refusalOf([...issuesIn(read), ...issuesOf(key, options)])
    if (refused !== undefined) return refused
    return Effect.zipRight(kind.expiry.ensure, new Run(kind, kind.options.right, key, effect, options, guard).run)
  })

/** A failure that counts as an answer, which the transaction was rolled back for. */
interface Declared<E> {
  readonly error: E
  readonly value: unknown
}

class Run<A, F, R, C, E, R2, OR> {
  readonly #kind: Kind<A, F, R, C>
  readonly #decoded: Decoded
  readonly #id: string
  readonly #effect: Effect.Effect<A, E, R2>
  readonly #options: RunOptions<OR>
  readonly #guard: Effect.Effect<void, E, R2>
  // The attempt whose key is committed with the transaction.
  #attempt: string | undefined
  // Where it runs in its transaction.
  #part: Part | undefined
  #objection: ReturnType<typeof watch> | undefined
  // Since when another run has the key, as far as each attempt since then has found; not known where one has failed otherwise.
  #takenSince: bigint | undefined
  #declared: Declared<E> | undefined

  constructor(
    kind: Kind<A, F, R, C>,
    decoded: Decoded,
    key: string,
    effect: Effect.Effect<A, E, R2>,
    options: RunOptions<OR>,
    guard: Effect.Effect<void, E, R2>
  ) {
    this.#kind = kind
    this.#decoded = decoded
    this.#id = idOf(kind.prefix, key)
    this.#effect = effect
    this.#options = options
    this.#guard = guard
  }

  get run(): Effect.Effect<A, E | F | OnceError, C | R | OR | Inside<R2>> {
    const { result } = this.#kind
    const taking = result === undefined ? "succeeded" : "running"
    return Effect.catchAll(this.#transact(taking, undefined, this.#body), (error) => {
      const declared = this.#declared
      // With no effect to run, it fails with what it finds.
      return declared !== undefined && declared.error === error
        ? this.#transact("failed", declared.value, Effect.as(this.#guard, Either.left(declared.error)))
        : Effect.fail(error)
    })
  }

  // One transaction, in which the key is taken and the body run, or the answer read.
  #transact<R3>(
    state: State,
    value: unknown,
    body: Effect.Effect<Either.Either<A, E>, E | OnceError, R3>
  ): Effect.Effect<A, E | F | OnceError, C | R | OR | Inside<R3>> {
    const { client } = this.#kind.target
    const { fingerprint: _, keepWrites: __, retry = Transaction.queued, ...given } = this.#options
    const once = Effect.flatMap(
      this.#take(state, value),
      (answer): Effect.Effect<Either.Either<A, E | F | OnceError>, E | OnceError, R3> =>
        answer === undefined ? this.#running(body) : Effect.succeed(answer)
    )
    const committed = Transaction.run(once, {
      ...given,
      client,
      writeConcern: "majority",
      retry: Backoff.limited(retry, this.#mayWait),
      verifyCommit: Effect.map(attemptOf(this.#kind.target, this.#id), (found) => found === this.#attempt)
    })
    return Effect.flatMap(
      Effect.catchAll(committed, (error) => this.#explained(error)),
      (answer) => Effect.zipRight(this.#isKept, answer)
    )
  }

  // The answer if there is one, or nothing if the key is taken for this run now. What it fails with for what is stored is an answer,
  // too: nothing was written, and a transaction around it may go on.
  #take(
    state: State,
    value: unknown
  ): Effect.Effect<Either.Either<A, F | KeyReused | InProgress | DecodeFailed> | undefined, OnceError, C | R> {
    const { failure, name, result, target } = this.#kind
    const { timeToLive } = this.#decoded
    const { fingerprint } = this.#options
    return Effect.gen(this, function*() {
      this.#part = yield* Effect.withFiberRuntime<Part | undefined>((fiber) => Effect.succeed(innermostOf(fiber)))
      this.#objection = this.#part && watch(this.#part)
      this.#attempt = undefined
      this.#declared = undefined
      const attempt = yield* newId
      const found = yield* Effect.tapError(
        claim(target, this.#id, { state, value, attempt, fingerprint, timeToLive }),
        (error) =>
          isTaken(error)
            ? this.#isTaken
            // Whether another run has the key was not told in time.
            : hasReason("TimedOut")(error)
            ? Effect.void
            : Effect.sync(() => void (this.#takenSince = undefined))
      )
      this.#takenSince = undefined
      const decision = decide(found, fingerprint, this.#part && runningIn(this.#part.of))
      switch (decision._tag) {
        case "Run":
          this.#attempt = attempt
          return undefined
        case "Reused":
          return Either.left(new KeyReused({ once: name }))
        case "Running":
          return Either.left(new InProgress({ once: name, waited: Duration.zero }))
        case "Answer": {
          this.#attempt = decision.attempt
          if (decision.state === "failed") {
            const value = yield* Effect.either(decoded(failure, decision.value, `failure of once ${name}`))
            return Either.flatMap(value, Either.left)
          }
          // The type of what has no result is void.
          if (result === undefined) return Either.right(undefined as A)
          return yield* Effect.either(decoded(result, decision.value, `result of once ${name}`))
        }
      }
    })
  }

  #running<A2, E2, R3>(body: Effect.Effect<A2, E2, R3>): Effect.Effect<A2, E2, R3> {
    const attempt = this.#attempt
    const part = this.#part
    return attempt === undefined || part === undefined ? body : whileRunning(part.of, attempt, body)
  }

  // The effect, and how it ends stored with what it has written.
  get #body(): Effect.Effect<Either.Either<A, E>, E | OnceError, C | R | R2> {
    const { name, result } = this.#kind
    return Effect.matchEffect(this.#effect, {
      onSuccess: (value) =>
        result === undefined
          ? Effect.as(this.#isKept, Either.right(value))
          : Effect.flatMap(result.encode(value, `result of once ${name}`), (encoded) =>
            Effect.as(this.#finish("succeeded", encoded), Either.right(value))),
      onFailure: (error) => this.#failed(error)
    })
  }

  // Fails where the effect has seen to it that nothing is.
  get #isKept(): Effect.Effect<void, TransactionEnded | TransactionDoomed> {
    return Effect.suspend((): Effect.Effect<void, TransactionEnded | TransactionDoomed> =>
      this.#objection?.() ?? Effect.void
    )
  }

  #failed(error: E): Effect.Effect<Either.Either<A, E>, E | OnceError, C | R> {
    const { failure, name } = this.#kind
    if (failure === undefined || isOfLibrary(error)) return Effect.fail(error)
    // One that does not fit the schema is none that was declared.
    const encoded = Effect.option(failure.encode(error as unknown as F, `failure of once ${name}`))
    return Effect.flatMap(encoded, (found): Effect.Effect<Either.Either<A, E>, E | OnceError, C | R> => {
      if (found._tag === "None") return Effect.fail(error)
      if (this.#options.keepWrites === true) return Effect.as(this.#finish("failed", found.value), Either.left(error))
      // What is rolled back with the transaction around it can't be stored by itself.
      if (this.#part?.within !== undefined) return Effect.fail(error)
      return Effect.flatMap(this.#storable(found.value), (value) => {
        this.#declared = { error, value }
        return Effect.fail(error)
      })
    })
  }

  #finish(state: State, encoded: unknown): Effect.Effect<void, OnceError, C> {
    const attempt = this.#attempt
    const ended = new TransactionEnded({ operation: "Once.run" })
    if (attempt === undefined) return Effect.fail(ended)
    return Effect.flatMap(this.#storable(encoded), (value) =>
      // It is gone when the effect has aborted the transaction by hand.
      Effect.filterOrFail(finish(this.#kind.target, this.#id, attempt, state, value), (is) => is, () => ended))
  }

  #storable(value: unknown): Effect.Effect<unknown, MongoError, C> {
    return withNamespace(this.#kind.target, (namespace) => {
      const stored = storable({ _id: this.#id, value }, "Once.run", namespace)
      return stored instanceof MongoError ? Effect.fail(stored) : Effect.succeed(stored.document.value)
    })
  }

  // Whether the transaction may be run again: as long as `wait` says, if another run has the key.
  get #mayWait(): Effect.Effect<boolean> {
    return Effect.map(this.#waited, (waited) => waited === undefined || Duration.lessThan(waited, this.#decoded.wait))
  }

  get #waited(): Effect.Effect<Duration.Duration | undefined> {
    return Effect.map(
      Clock.currentTimeNanos,
      (now) => this.#takenSince === undefined ? undefined : Duration.nanos(now - this.#takenSince)
    )
  }

  get #isTaken(): Effect.Effect<void> {
    return Effect.map(Clock.currentTimeNanos, (now) => void (this.#takenSince ??= now))
  }

  #explained<Failure>(error: Failure): Effect.Effect<never, Failure | InProgress | CommitUnknown> {
    if (error instanceof CommitUnknown) {
      const { attempts, elapsed, last } = error
      return new CommitUnknown({ attempts, elapsed, last, isRepeatable: true })
    }
    return Effect.flatMap(
      this.#waited,
      (waited): Effect.Effect<never, Failure | InProgress> =>
        waited !== undefined && isGivenUp(error)
          ? new InProgress({ once: this.#kind.name, waited })
          : Effect.fail(error)
    )
  }
}

// Whatever came before: when it was given up, another run had the key.
const isGivenUp = (error: unknown): boolean =>
  error instanceof TransactionAborted
    ? error.last instanceof MongoError && isTaken(error.last)
    : error instanceof MongoError && error.reason === "DuplicateKey"

const decoded = <A, R>(
  codec: Codec<A, unknown, R> | undefined,
  value: unknown,
  source: string
): Effect.Effect<A, DecodeFailed, R> =>
  codec === undefined
    ? new DecodeFailed({ source, path: [], issue: "is of a kind that has no schema" })
    : codec.decode(value, source)
