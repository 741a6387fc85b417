/**
 * How far a consumer has come: a document that is written in the same transaction as what the consumer does, and that
 * says whose turn it is, so that of two consumers of one name only the later one goes on.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Driver from "mongodb"
import { ConsumerReplaced } from "../../ChangeStreamErrors.js"
import type { MongoError } from "../../MongoError.js"
import * as ResumeToken from "../../ResumeToken.js"
import { DecodeFailed, type OperationError } from "../../SessionErrors.js"
import { SessionId } from "../../SessionId.js"
import { sendAll } from "../commands/send.js"
import { operation } from "../data/operation.js"
import type { Request, Target } from "../data/request.js"
import { losslessly } from "../driver/readOptions.js"
import { toLsid } from "../driver/session.js"
import { clientOf } from "../session/client.js"
import { alone } from "../transaction/start.js"
import { numberOf } from "../values/numbers.js"
import { marking, writing } from "./own.js"
import { isLostOnTheWay, mongoErrorIn, type Position } from "./position.js"

/** Where the checkpoint of a consumer is kept, and as whom it was claimed. */
export interface Checkpoint<C> {
  readonly target: Target<C>
  readonly name: string
  /** Made anew each time that a consumer starts. */
  readonly owner: string
}

/** An id that nobody else has. */
export const newId: Effect.Effect<string> = Effect.sync(() => freshId())

/** {@link newId}, for a step that is a plain function. */
export const freshId = (): string => globalThis.crypto.randomUUID()

/**
 * Takes a checkpoint over from whoever has it, and gives what is stored in it besides. The session is the one whose
 * transactions write it, if that belongs to the consumer alone.
 */
export const claim = <C>(
  target: Target<C>,
  name: string,
  session?: SessionId
): Effect.Effect<{ readonly checkpoint: Checkpoint<C>; readonly stored: Driver.Document }, OperationError, C> =>
  Effect.gen(function*() {
    const owner = yield* newId
    const killed = yield* sessionOf(target, name)
    yield* kill(target, killed)
    const stored = yield* operation(
      target,
      { ...writing("findOneAndUpdate"), inTransaction: false },
      (db, added) =>
        of(db, target).findOneAndUpdate(
          { _id: name },
          {
            $set: { owner, session: session?.uuid ?? null },
            $currentDate: { claimedAt: true },
            $inc: marking
          },
          { ...added, ...majority, upsert: true, returnDocument: "before" }
        )
    ).pipe(
      // Two who make the document at the same moment: the server lets one of them know.
      Effect.retry({ while: hasReason("DuplicateKey"), times: 3 }),
      patiently
    )
    // Somebody else may have taken it over in between, and would not be told at once.
    if (stored?.["session"] !== killed) yield* kill(target, stored?.["session"])
    return { checkpoint: { target, name, owner }, stored: stored ?? {} }
  })

const sessionOf = <C>(target: Target<C>, name: string): Effect.Effect<unknown, OperationError, C> =>
  Effect.map(patiently(find(target, name)), (found): unknown => found?.["session"])

// A process that was killed has left its transaction open. For a minute nobody could write the checkpoint, if the server
// were not told; where it can't be told, there is nothing but to wait.
const kill = <C>(target: Target<C>, session: unknown): Effect.Effect<void, never, C> => {
  const id = typeof session === "string" ? SessionId.fromString(session) : Either.left(undefined)
  return Either.isRight(id)
    ? Effect.flatMap(
      clientOf(target),
      (client) => Effect.ignoreLogged(sendAll(client, "killSessions", [toLsid(id.right)]))
    )
    : Effect.void
}

/** The position that is stored in a checkpoint; none if there is none yet. Fails with `DecodeFailed` if it was damaged. */
export const positionOf = (
  stored: Driver.Document,
  source: string
): Either.Either<Position | undefined, DecodeFailed> => {
  const { time, token } = stored
  if (typeof token === "string") {
    // A token of an event that was the last of its stream is good for this only.
    return Either.map(ResumeToken.decode(token), ({ document }): Position => ({ startAfter: document }))
  }
  if (token !== undefined) return Either.left(new DecodeFailed({ source, path: ["token"], issue: "is not a text" }))
  return Either.right(time === undefined ? undefined : { startAtOperationTime: time })
}

/** What is stored for a position. */
export const toStored = ({ resumeAfter, startAfter, startAtOperationTime: time }: Position): Driver.Document => {
  const token: unknown = startAfter ?? resumeAfter
  return token !== undefined
    ? { token: new ResumeToken.ResumeToken(token as Driver.Document).toString() }
    : time === undefined
    ? {}
    : { time, token: undefined }
}

/**
 * Stores something in a checkpoint, in the ambient transaction if there is one. Fails with `ConsumerReplaced` when somebody
 * else has claimed it.
 */
export const store = <C>(
  { name, owner, target }: Checkpoint<C>,
  fields: Driver.Document,
  options: Driver.UpdateOptions = {}
): Effect.Effect<void, OperationError | ConsumerReplaced, C> =>
  Effect.flatMap(
    operation(target, writing("updateOne"), (db, added) =>
      of(db, target).updateOne(
        { _id: name, owner },
        { ...setting(fields), $currentDate: { updatedAt: true }, $inc: marking },
        { ...added, ...options }
      )),
    ({ matchedCount }) => numberOf(matchedCount) === 0 ? new ConsumerReplaced({ consumer: name }) : Effect.void
  )

// What is undefined is removed. MongoDB before 5.0 refuses an operator with nothing in it.
const setting = (fields: Driver.Document): Driver.Document => {
  const set = Object.entries(fields).filter(([, value]) => value !== undefined)
  const unset = Object.entries(fields).filter(([, value]) => value === undefined)
  return {
    ...(set.length > 0 && { $set: Object.fromEntries(set) }),
    ...(unset.length > 0 && { $unset: Object.fromEntries(unset.map(([name]) => [name, ""])) })
  }
}

/** {@link store} by itself, again and again while the way to the server is broken. */
export const storeAlone = <C>(
  checkpoint: Checkpoint<C>,
  fields: Driver.Document
): Effect.Effect<void, OperationError | ConsumerReplaced, C> => patiently(store(checkpoint, fields, majority))

/** Whether the last thing that was stored is the step of this id; asked when the answer to its commit was lost. */
export const isStored = <C>(
  { name, target }: Checkpoint<C>,
  step: string
): Effect.Effect<boolean, OperationError, C> =>
  patiently(Effect.map(find(target, name), (found) => found?.["step"] === step))

/**
 * What an error of whoever has a checkpoint means. Whatever it was told, it has failed because it was replaced if somebody
 * else has its checkpoint by now: whoever takes over kills what the other has open.
 */
export const explained = <C, E>(checkpoint: Checkpoint<C>, error: E): Effect.Effect<never, E | ConsumerReplaced, C> =>
  Effect.flatMap(
    wasReplaced(checkpoint, error),
    (replaced): Effect.Effect<never, E | ConsumerReplaced> =>
      replaced ? Effect.fail(new ConsumerReplaced({ consumer: checkpoint.name })) : Effect.fail(error)
  )

/** Whether somebody else has the checkpoint when something has failed; what keeps it from being found out is no news then. */
export const wasReplaced = <C>(checkpoint: Checkpoint<C>, error: unknown): Effect.Effect<boolean, never, C> => {
  // Not in its session, which may be what has failed.
  const replaced = Effect.filterOrFail(alone(isReplaced(checkpoint)), (is) => is)
  const found = wasKilled(error) ? Effect.retry(replaced, untilClaimed) : replaced
  return Effect.map(Effect.option(Effect.timeout(found, "5 seconds")), Option.isSome)
}

const wasKilled = (error: unknown): boolean => {
  const reason = mongoErrorIn(error)?.reason
  return reason === "Interrupted" || reason === "CursorLost"
}

// It is killed first and the checkpoint claimed then, one round trip later.
const untilClaimed = Schedule.exponential("10 millis").pipe(Schedule.upTo("2 seconds"))

const isReplaced = <C>({ name, owner, target }: Checkpoint<C>): Effect.Effect<boolean, OperationError, C> =>
  Effect.map(find(target, name), (found) => found !== null && found["owner"] !== owner)

interface Stored extends Driver.Document {
  readonly _id: string
}

// Whatever the client prefers: what a secondary has may be of another owner.
const find = <C>(target: Target<C>, name: string): Effect.Effect<Stored | null, OperationError, C> =>
  operation(
    { ...target, readConcern: "majority", readPreference: "primary" },
    read,
    (db, added) => of(db, target).findOne({ _id: name }, { ...added, readPreference: "primary" })
  )

const of = <C>(db: Driver.Db, { collection = "" }: Target<C>): Driver.Collection<Stored> =>
  db.collection(collection, losslessly)

const read: Request = { name: "findOne", kind: "read", inTransaction: false }

/** A write that no failover takes back. */
export const majority = { writeConcern: { w: "majority" } } as const

/** Whether an operation has failed for this reason. */
export const hasReason = (reason: MongoError["reason"]) => (error: OperationError): boolean =>
  error._tag === "MongoError" && error.reason === reason

/** Runs what may be repeated again while the way to the server is broken. A primary that is lost is replaced within seconds. */
export const patiently = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.retry(effect, {
    while: isLostOnTheWay,
    schedule: Schedule.exponential("50 millis").pipe(Schedule.jittered, Schedule.upTo("1 minute"))
  })
