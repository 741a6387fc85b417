/**
 * Runs workflows for real.
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { ClientSession, Collection, MongoClient as DriverClient } from "mongodb"
import { MongoServerError } from "mongodb"
import * as MongoClient from "../../../src/MongoClient.js"
import { Label } from "../../../src/MongoError.js"
import * as Session from "../../../src/Session.js"
import { type AcquireError, TransactionAborted } from "../../../src/SessionErrors.js"
import * as FailPoint from "../../../src/testing/FailPoint.js"
import * as Transaction from "../../../src/Transaction.js"
import type * as Monitor from "../watch/monitor.js"
import type { Observed } from "./model.js"
import { type CommitFault, type Fault, maxAttempts, type Step, type Workflow } from "./workflows.js"
import { keyOf } from "./world.js"

/** A document of a workflow: how often it was written. */
interface Row {
  readonly _id: string
  readonly workflow: number
  readonly n: number
}

/** What workflows run on. */
export interface World {
  readonly watched: Monitor.Watched
  readonly admin: DriverClient
  readonly left: Collection<Row>
  readonly right: Collection<Row>
}

interface Failure {
  readonly _tag: string
}

class Declined extends Data.TaggedError("Declined") {}
class TooLate extends Data.TaggedError("TooLate") {}
class Wrapped extends Data.TaggedError("Wrapped")<{ readonly cause: unknown }> {}
/** What the driver fails with where there is no session. */
class Direct extends Data.TaggedError("Direct")<{ readonly cause: unknown }> {}

const transient = { errorCode: 112, errorLabels: [Label.TransientTransactionError] }

const commitFaults: Readonly<Record<CommitFault["kind"], Partial<FailPoint.Options>>> = {
  transient,
  // not a code for which the driver itself would send it again
  lost: { errorCode: 64, errorLabels: [Label.UnknownTransactionCommitResult] },
  refused: { errorCode: 2, errorLabels: [] },
  unsatisfied: { writeConcernError: { code: 100, errmsg: "unsatisfiable" } }
}

/** The document that is there before, so that no write can insert it. */
export const taken: Row = { _id: "taken", workflow: -1, n: 1 }

/**
 * Runs a workflow, the number of which nobody else may have. With `interruptAt`, the whole is interrupted when that many
 * commands were sent.
 */
export const run = (
  { admin, left, right, watched }: World,
  { ambient, body, commits }: Workflow,
  number: number,
  interruptAt = Number.POSITIVE_INFINITY
): Effect.Effect<Observed, AcquireError | FailPoint.FailPointFailed> =>
  Effect.scoped(Effect.gen(function*() {
    const { appName, client } = watched
    const hooks: Array<string> = []
    const spent = new Map<string, number>()
    const daemons: Array<Fiber.Fiber<string>> = []
    const wake = yield* Deferred.make<void>()

    const failing = (fault: Fault | undefined, path: string): Fault["kind"] | undefined => {
      const failures = spent.get(path) ?? 0
      if (fault === undefined || failures >= fault.times) return undefined
      spent.set(path, failures + 1)
      return fault.kind
    }

    const inSession = (
      operation: (session?: ClientSession, signal?: AbortSignal) => Promise<unknown>
    ): Effect.Effect<void, Failure> =>
      Effect.flatMap(
        Effect.serviceOption(Session.Session),
        Option.match({
          // nobody waits for the promise of an interrupted effect, but what it writes is counted
          onNone: (): Effect.Effect<void, Failure> =>
            Effect.uninterruptible(
              Effect.asVoid(Effect.tryPromise({ try: () => operation(), catch: (cause) => new Direct({ cause }) }))
            ),
          onSome: (session) => Effect.asVoid(session.use(operation))
        })
      )

    const write = (key: string, path: string, fault?: Fault): Effect.Effect<void, Failure> =>
      Effect.suspend(() => {
        const collection = key.startsWith("left") ? left : right
        const kind = failing(fault, path)
        const one = inSession(async (session) => {
          if (kind === "thrown") throw new MongoServerError({ message: "thrown", code: 112, ...labelled })
          const options = session === undefined ? {} : { session }
          await (kind === "duplicate"
            ? collection.insertOne(taken, options)
            : collection.updateOne(
              { _id: `${number}/${key}` },
              { $inc: { n: 1 }, $setOnInsert: { workflow: number } },
              { ...options, upsert: true }
            ))
        })
        return kind === "failPoint"
          ? Effect.catchTag(
            FailPoint.during(admin, { failCommands: ["update"], appName, ...transient })(one),
            "FailPointFailed",
            (error) => Effect.die(error)
          )
          : one
      })

    const read = inSession((session, signal) =>
      left.findOne({ workflow: number }, session && signal ? { session, signal } : {})
    )

    const within = (
      f: (
        tag: <A, E>(effect: Effect.Effect<A, E, Transaction.Transaction>) => Effect.Effect<A, E>
      ) => Effect.Effect<unknown, Failure, Session.Session>
    ) =>
      Effect.gen(function*() {
        const transaction = yield* Effect.serviceOption(Transaction.Transaction)
        const session = yield* Effect.serviceOption(Session.Session)
        if (Option.isNone(transaction) || Option.isNone(session)) return
        yield* Effect.asVoid(Effect.provideService(
          f(Effect.provideService(Transaction.Transaction, transaction.value)),
          Session.Session,
          session.value
        ))
      })

    const go = (step: Step, path: string, stall: Effect.Effect<never>): Effect.Effect<
      void,
      Failure,
      MongoClient.MongoClient
    > => {
      const inner = (part: Step, index: number) => go(part, `${path}.${index}`, stall)
      switch (step._tag) {
        case "Write":
          return write(keyOf(step.collection, path), path, step.fault)
        case "Read":
          return read
        case "Fail":
          return new Declined()
        case "Die":
          return Effect.dieMessage("a bug")
        case "Stall":
          return stall
        case "RollbackOnly":
          return within((tag) => tag(Transaction.rollbackOnly))
        case "End":
          return within((): Effect.Effect<void, Failure, Session.Session> => Transaction[step.how])
        case "Hook": {
          const act = Effect.suspend((): Effect.Effect<void, Failure> => {
            hooks.push(path)
            return step.does === "fail"
              ? new Declined()
              : step.does === "write"
              ? write(keyOf("left", path), path)
              : Effect.void
          })
          return within((tag) => tag(Transaction[step.moment](act)))
        }
        case "Late": {
          const daemon = Deferred.await(wake).pipe(
            Effect.zipRight(write(keyOf("left", path), path)),
            Effect.match({ onFailure: ({ _tag }) => _tag, onSuccess: () => "written" })
          )
          return within(() => Effect.map(Effect.forkDaemon(daemon), (fiber) => void daemons.push(fiber)))
        }
        case "Seq":
          return Effect.forEach(step.parts, inner, { discard: true })
        case "All":
          return step.how === "all"
            ? Effect.forEach(step.parts, inner, { concurrency: "unbounded", discard: true })
            : Effect.flatMap(
              Effect.forEach(step.parts, (part, index) => Effect.fork(inner(part, index))),
              Effect.forEach((fiber) => Fiber.join(fiber), { discard: true })
            )
        case "Race":
          return Effect.raceAll(writes(step.writes, path))
        case "Clash":
          return Effect.zipRight(
            write(keyOf("left", path), path),
            Effect.all([...writes(step.writes, path), new Declined()], { concurrency: "unbounded", discard: true })
          )
        case "Run":
          return Transaction.run(go(step.body, path, stall), {
            propagation: step.propagation,
            retry: Schedule.recurs(maxAttempts - 1)
          })
        case "Outside":
          return Transaction.outside(go(step.body, path, stall))
        case "Recover":
          return Effect.catchAll(go(step.body, path, stall), () => Effect.void)
        case "Wrap":
          return Effect.mapError(go(step.body, path, stall), (cause) => new Wrapped({ cause }))
        case "Cut":
          return step.how === "interrupt"
            ? Effect.flatMap(
              interruptedAtStall((stall) => go(step.body, path, stall)),
              (exit) => Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause) ? Effect.void : exit
            )
            : Effect.flatMap(Deferred.make<void>(), (reached) =>
              Effect.raceFirst(
                go(step.body, path, Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never)),
                Effect.zipRight(Deferred.await(reached), new TooLate())
              ))
      }
    }

    const writes = (count: number, path: string): Array<Effect.Effect<void, Failure>> =>
      Array.from({ length: count }, (_, index) => write(keyOf("left", `${path}.${index}`), `${path}.${index}`))

    if (commits !== undefined) {
      yield* FailPoint.failCommand(admin, {
        failCommands: ["commitTransaction"],
        mode: { times: commits.times },
        appName,
        ...commitFaults[commits.kind]
      })
    }
    const exit = yield* Effect.scoped(Effect.gen(function*() {
      const session = ambient ? Option.some(yield* Session.make()) : Option.none()
      const whole = (stall: Effect.Effect<never>) => go(body, "0", stall)
      const exit = yield* interruptedAtStall(
        (stall) => Option.isNone(session) ? whole(stall) : Session.provide(whole(stall), session.value),
        atCommand(client.driver, interruptAt)
      )
      yield* Deferred.succeed(wake, undefined)
      return [exit, yield* Effect.forEach(daemons, (daemon) => Fiber.join(daemon))] as const
    }))
    const rows = yield* Effect.promise(async () => {
      const find = (collection: Collection<Row>) => collection.find({ workflow: number }).toArray()
      return [...await find(left), ...await find(right)]
    })
    return {
      result: resultOf(exit[0], interruptAt !== Number.POSITIVE_INFINITY),
      written: new Map(rows.map(({ _id, n }) => [_id.slice(_id.indexOf("/") + 1), n])),
      hooks,
      late: [...exit[1]].sort()
    }
  })).pipe(
    Effect.provideService(MongoClient.MongoClient, watched.client),
    // hooks that fail are logged, and here they do
    Effect.provide(Logger.remove(Logger.defaultLogger))
  )

const labelled = { errorLabels: [Label.TransientTransactionError] }

/** Runs an effect that is interrupted when it waits for ever, or when something else has come about. */
const interruptedAtStall = <A, E, R>(
  effect: (stall: Effect.Effect<never>) => Effect.Effect<A, E, R>,
  other: Effect.Effect<void> = Effect.never
): Effect.Effect<Exit.Exit<A, E>, never, R> =>
  Effect.gen(function*() {
    const reached = yield* Deferred.make<void>()
    const fiber = yield* Effect.fork(effect(Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never)))
    return yield* Effect.raceAll([Deferred.await(reached), other, Effect.asVoid(Fiber.await(fiber))]).pipe(
      Effect.zipRight(Fiber.interrupt(fiber)),
      Effect.onInterrupt(() => Fiber.interrupt(fiber))
    )
  })

const atCommand = (driver: DriverClient, count: number): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    let sent = 0
    const stop = (): void => void driver.off("commandStarted", listen)
    const listen = (): void => {
      if (++sent < count) return
      stop()
      resume(Effect.void)
    }
    driver.on("commandStarted", listen)
    return Effect.sync(stop)
  })

// A failure of one of several that run at once interrupts the others, and they are in its cause: where nobody interrupts the
// whole, that is no interruption.
const resultOf = (exit: Exit.Exit<void, Failure>, mayBeInterrupted: boolean): string => {
  if (Exit.isSuccess(exit)) return "Success"
  if (mayBeInterrupted ? Cause.isInterrupted(exit.cause) : Cause.isInterruptedOnly(exit.cause)) return "Interrupted"
  const failure = Cause.failureOption(exit.cause)
  if (Cause.isDie(exit.cause) || Option.isNone(failure)) return "Defect"
  const { value } = failure
  return value instanceof TransactionAborted ? `TransactionAborted(${value.attempts})` : value._tag
}
