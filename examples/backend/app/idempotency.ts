/**
 * Requests that may be sent again: one with a key that was seen before is not done again, and gets the answer of the first.
 *
 * The key and the answer are written in the transaction of the request itself, so that there is either all of it or nothing:
 * no crash can come between. See the IETF's draft "The Idempotency-Key HTTP Header Field".
 */
import { Clock, Effect, Option, Schedule, Schema } from "effect"
import { Collection, MongoError, SessionErrors, Transaction } from "effect-mongo-session"
import { createHash, randomUUID } from "node:crypto"
import { KeyInProgress, KeyReused } from "./errors.js"

/** A key: in quotes as the draft has it, or without as most clients send it. */
const Key = Schema.transform(
  Schema.String.pipe(Schema.pattern(/^("[\x21\x23-\x5b\x5d-\x7e]{1,255}"|[\x21\x23-\x5b\x5d-\x7e]{1,255})$/)),
  Schema.String,
  { strict: true, decode: (text) => text.replace(/^"|"$/g, ""), encode: (key) => `"${key}"` }
).annotations({ identifier: "IdempotencyKey", description: "A key that nobody else uses, such as a UUID, in quotes" })

/** The header of an endpoint that needs a key. Without it, the answer is 400. */
export const Headers = Schema.Struct({ "idempotency-key": Key })

const Stored = Schema.Struct({
  _id: Schema.String,
  /** Of the request: another one must not use the key. */
  fingerprint: Schema.String,
  /** The run that has written it, for the case that the answer to its commit is lost. */
  run: Schema.String,
  /** `null` only inside of the transaction. */
  answer: Schema.NullOr(Schema.Struct({ isSuccess: Schema.Boolean, value: Schema.Unknown })),
  at: Schema.DateFromSelf
})

const Keys = Collection.make("idempotency_keys", {
  schema: Stored,
  readConcern: "majority",
  writeConcern: { w: "majority" },
  readPreference: "primary"
})

/** Makes the index by which keys are forgotten after a day. */
export const prepare = Keys.createIndex({ at: 1 }, { expireAfterSeconds: 24 * 60 * 60 })

/** A request with a key. */
export interface Request {
  readonly key: string
  /** What is asked for, by everything that makes a difference. */
  readonly asked: ReadonlyArray<unknown>
}

/** How answers are stored. A failure that has a schema is an answer like another; all others let the request be sent again. */
export interface Answers<A, I, F, J> {
  readonly success: Schema.Schema<A, I>
  readonly failure: Schema.Schema<F, J>
}

/**
 * Does what a request asks for, once for each key, in a transaction.
 *
 * Fails with `KeyInProgress` while another request with the key is at work, and with `KeyReused` if the key was used for
 * something else.
 */
export const once = <A, I, F, J>({ asked, key }: Request, answers: Answers<A, I, F, J>) => {
  const fingerprint = createHash("sha256").update(JSON.stringify(asked)).digest("hex")
  const isFailure = Schema.is(answers.failure)

  const answerOf = ({ answer, ...stored }: typeof Stored.Type): Effect.Effect<A, F | KeyReused> =>
    stored.fingerprint !== fingerprint
      ? new KeyReused({ hint: "Use a new key for another request." })
      : answer?.isSuccess === true
      ? Effect.orDie(Schema.decodeUnknown(answers.success)(answer.value))
      : Effect.flatMap(Effect.orDie(Schema.decodeUnknown(answers.failure)(answer?.value)), Effect.fail)
  const earlier = Effect.map(Keys.findById(key), Option.map(answerOf))
  const replay = Effect.flatMap(
    earlier,
    Option.getOrElse((): Effect.Effect<A, F | KeyReused | KeyInProgress> => inProgress)
  )

  return <E, R>(effect: Effect.Effect<A, E | F, R>) =>
    Effect.gen(function*() {
      const answered = yield* earlier
      if (Option.isSome(answered)) return yield* answered.value

      const run = randomUUID()
      const at = new Date(yield* Clock.currentTimeMillis)
      const write = (answer: typeof Stored.Type["answer"]) => Keys.insertOne({ _id: key, fingerprint, run, answer, at })

      const attempt = Effect.gen(function*() {
        // First of all: of two requests with one key, the second cannot get past this.
        yield* write(null)
        const result = yield* effect
        const value = yield* Effect.orDie(Schema.encode(answers.success)(result))
        yield* Keys.updateOne({ _id: key }, { $set: { answer: { isSuccess: true, value } } })
        return result
      }).pipe(Transaction.run({
        retry: Schedule.whileInput(Transaction.backoff, (error: MongoError.MongoError) => !isTaken(error)),
        verifyCommit: Effect.map(Keys.findOne({ _id: key, run }), Option.isSome)
      }))

      // What was begun is rolled back. That it was refused, and why, is all that stays.
      const remember = (failure: F) =>
        Effect.gen(function*() {
          yield* write({ isSuccess: false, value: yield* Effect.orDie(Schema.encode(answers.failure)(failure)) })
          return yield* Effect.fail(failure)
        })

      return yield* attempt.pipe(
        Effect.catchIf((error): error is F & typeof error => isFailure(error), remember),
        Effect.catchIf(isTaken, () => replay)
      )
    })
}

const inProgress = new KeyInProgress({ hint: "Wait a moment, then send it again." })

/** Whether another request with the key has come first: it is still at work, or it is done. */
const isTaken = (error: unknown): boolean =>
  error instanceof SessionErrors.TransactionAborted
    ? isTaken(error.last)
    : error instanceof MongoError.MongoError && error.namespace?.endsWith(`.${Keys.name}`) === true &&
      (error.reason === "WriteConflict" || error.reason === "DuplicateKey")
