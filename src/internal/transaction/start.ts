/**
 * Starts a transaction in a session: its options, its time limit, its turn, and the context of its body.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { MongoError } from "../../MongoError.js"
import * as Session from "../../Session.js"
import type { TransactionEnded } from "../../SessionErrors.js"
import { type SessionBusy, TransactionUnsupported } from "../../SessionErrors.js"
import type * as Telemetry from "../../Telemetry.js"
import * as TransactionOptions from "../../TransactionOptions.js"
import type { Deployment } from "../driver/topology.js"
import * as DriverTransaction from "../driver/transaction.js"
import * as MongoClient from "../session/client.js"
import { key } from "../session/gate.js"
import * as Lane from "../session/lane.js"
import { enter, giveBack } from "../session/operation.js"
import type { Transaction as Tag } from "../session/turn.js"
import { contextOf, placeOf, Sandbox, stepOut } from "../session/turn.js"
import * as Log from "../telemetry/log.js"
import { Around } from "../telemetry/outside.js"
import * as Spans from "../telemetry/spans.js"
import { andThen, matchCause, type Restore, type RunningFiber, traced } from "../time/fiber.js"
import type { Hook } from "./attempt.js"
import * as Attempts from "./attempts.js"
import * as Manual from "./manual.js"
import { innermostOf, type Part } from "./part.js"
import type { Plan, RunError } from "./plan.js"

/** What an effect still needs when it is run in a transaction. */
export type Inside<R> = Exclude<R, Session.Session | Tag>

/** An effect as it runs in a part of a transaction. */
export const inside = <A, E, R>(effect: Effect.Effect<A, E, R>, session: Session.Service, part: Part) =>
  Effect.mapInputContext(
    effect,
    (context: Context.Context<Inside<R>>) => contextIn(part, session, context) as Context.Context<R>
  )

// All at once: to add a service copies the context.
const contextIn = <R>(part: Part, session: Session.Service, around: Context.Context<R>) => {
  const inside = Context.add(contextOf(part), Session.Session, session)
  if (!part.of.isSandbox) return Context.merge(around, inside)
  const outer: ReadonlyArray<object> = around.unsafeMap.get(Sandbox.key) ?? []
  return Context.merge(around, Context.add(inside, Sandbox, [session, ...outer]))
}

/** What is run in a transaction, and how. */
export interface Transaction<A, E, R, VR, OR, E2, R2> extends Pick<Plan<VR, OR>, "isSandbox"> {
  /** What its options say of retries and isolation. */
  readonly manner: Pick<Plan<VR, OR>, "retry" | "doesQueue" | "onRetry" | "verifyCommit" | "isSerializable">
  readonly effect: Effect.Effect<A, E, R>
  readonly session: Session.Service
  readonly options: TransactionOptions.Decoded
  /** Is given the hooks that are due when the transaction has ended, after its turn. */
  readonly whenDone: (hooks: ReadonlyArray<Hook>, restore: Restore) => Effect.Effect<void>
  /** What to run instead when somebody else has started one by hand while this waited for its turn. */
  readonly otherwise: () => Effect.Effect<A, E2, R2>
}

/** Runs a transaction of a fiber's own in a session. */
export const transaction = <A, E, R, VR, OR, E2, R2>(
  fiber: RunningFiber,
  { effect, isSandbox, manner, options, otherwise, session, whenDone }: Transaction<A, E, R, VR, OR, E2, R2>
): Effect.Effect<
  A,
  E | E2 | RunError | SessionBusy | TransactionEnded | TransactionUnsupported,
  Inside<R> | VR | OR | R2
> => {
  const begin = () => {
    const gate = session[key]
    const outer = innermostOf(fiber)
    const { doesQueue, isSerializable, onRetry, retry, verifyCommit } = manner
    const span = fiber.currentSpan
    const contextOf = (part: Part, around: Context.Context<never>) => contextIn(part, session, around)
    // What it needs besides is in the context of its part.
    // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
    const body = { effect: effect as Effect.Effect<A, E, Inside<R>>, contextOf }
    return Effect.checkInterruptible((isInterruptible) =>
      Effect.uninterruptibleMask((restore) => {
        const timeout = timeoutOf(options, session)
        const plan = {
          options: resolve(options, session, timeout),
          timeout: least(timeout, outer),
          retry,
          // What waits for it may hold what it waits for.
          doesQueue: doesQueue && outer === undefined && !fiber.currentContext.unsafeMap.has(Around.key),
          span,
          verifyCommit: verifyCommit && alone(verifyCommit),
          onRetry: onRetry && ((retry: Telemetry.Retry) => alone(onRetry(retry))),
          // Nothing is kept of what runs in a sandbox, in whichever session.
          isSandbox: isSandbox || outer?.of.isSandbox === true,
          isSerializable,
          outer,
          isInterruptible
        }
        let hooks: ReadonlyArray<Hook> = []
        const inTurn = Spans.transaction(fiber, (fiber) =>
          andThen(enter(gate, placeOf(fiber, gate.lane), "transaction", restore, fiber), (held) => {
            if (Manual.active(gate) !== undefined) {
              Lane.leave(held)
              return Effect.succeedNone
            }
            return matchCause(
              Attempts.run(gate, session.client, body, plan, restore),
              // Not the body's: those are in its exit.
              (defect) =>
                andThen(giveBack(gate, held), () => Effect.failCause(defect)),
              (done) =>
                andThen(giveBack(gate, held), () => {
                  hooks = done.hooks
                  Log.ended(fiber, done.outcome)
                  return traced(Exit.map(done.exit, Option.some))
                })
            )
          }))
        const after = (exit: Exit.Exit<A, Effect.Effect.Error<typeof inTurn>>) => {
          if (hooks.length === 0) {
            return exit
          }
          if (isSandbox || outer?.of.isSandbox !== true) {
            return Effect.zipRight(whenDone(hooks, restore), exit)
          }
          // Of another client, whose transactions are no part of the sandbox around, but are rolled back as well.
          for (const hook of hooks) {
            outer.of.putOff(hook)
          }
          return exit
        }
        return matchCause(inTurn, (cause) =>
          after(Exit.failCause(cause)), (done): Effect.Effect<A, Effect.Effect.Error<typeof inTurn> | E2, R2> =>
          Option.isSome(done) ? after(Exit.succeed(done.value)) : restore(otherwise()))
      })
    )
  }
  const asked = ensureSupported(session)
  return asked === undefined ? begin() : Effect.flatMap(asked, begin)
}

/** Fails where there are no transactions. Nothing to be done where it is known that there are, as it mostly is. */
export const ensureSupported = (
  { client, options }: Session.Service
): Effect.Effect<void, TransactionUnsupported | MongoError> | undefined => {
  if (options.snapshot) return new TransactionUnsupported({ reason: "SnapshotSession" })
  const known = client[MongoClient.inner].knownDeployment()
  return Option.isSome(known)
    ? refusalOf(known.value)
    : Effect.flatMap(client.deployment, (deployment) => refusalOf(deployment) ?? Effect.void)
}

const refusalOf = ({ kind }: Deployment): TransactionUnsupported | undefined =>
  kind === "standalone" ? new TransactionUnsupported({ reason: "Standalone" }) : undefined

/** The options that a transaction is started with. */
export const resolve = (
  decoded: TransactionOptions.Decoded,
  { client, options }: Session.Service,
  timeout: Duration.Duration | undefined
): TransactionOptions.Resolved => {
  const { defaultTransactionOptions: ofSession } = options
  const { transactions: ofClient } = client[MongoClient.inner]
  const defaults = ofSession === undefined ? ofClient : TransactionOptions.merge(ofSession, ofClient)
  return DriverTransaction.withClientDefaults(TransactionOptions.merge(decoded, defaults), client.driver, timeout)
}

/** How long a transaction may take, operations included, as far as anybody has set that. */
export const timeoutOf = (
  { timeout }: TransactionOptions.Decoded,
  { client, options }: Session.Service
): Duration.Duration | undefined =>
  timeout ?? options.defaultTransactionOptions?.timeout ?? options.timeout ??
    client[MongoClient.inner].transactions?.timeout ?? client.timeout

// A transaction of its own inside of another one keeps to the time that the other one has left.
const least = (own: Duration.Duration | undefined, outer: Part | undefined): Duration.Duration | undefined => {
  const left = outer?.deadline?.left()
  if (left === undefined) return own
  const time = Duration.millis(Math.max(0, left))
  return own === undefined ? time : Duration.min(own, time)
}

/** An effect without its session, and outside of the transaction that it is in. */
export const alone = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(effect, (context: Context.Context<R>) => withoutSession(stepOut(context)))

const withoutSession = <R>(context: Context.Context<R>): Context.Context<R> =>
  Context.omit(Session.Session)(context) as Context.Context<R>
