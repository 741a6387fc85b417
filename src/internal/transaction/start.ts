/**
 * Where an effect finds itself when it is to run in a transaction, and what is around it then.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { MongoError } from "../../MongoError.js"
import * as Session from "../../Session.js"
import {
  type AcquireError,
  ForeignSession,
  type SessionBusy,
  TransactionEnded,
  TransactionUnsupported
} from "../../SessionErrors.js"
import type * as SessionOptions from "../../SessionOptions.js"
import type * as Telemetry from "../../Telemetry.js"
import * as TransactionOptions from "../../TransactionOptions.js"
import * as DriverTransaction from "../driver/transaction.js"
import { acquire } from "../session/acquire.js"
import * as MongoClient from "../session/client.js"
import { type Gate, key } from "../session/gate.js"
import * as Lane from "../session/lane.js"
import { enter, giveBack } from "../session/operation.js"
import { sessionIn } from "../session/service.js"
import type { Transaction as Tag } from "../session/turn.js"
import { contextOf, placeOf, Sandbox, stepOut } from "../session/turn.js"
import * as Log from "../telemetry/log.js"
import * as Spans from "../telemetry/spans.js"
import { andThen, type RunningFiber, traced } from "../time/fiber.js"
import type { Hook } from "./attempt.js"
import * as Attempts from "./attempts.js"
import * as Manual from "./manual.js"
import { innermostOf, type Part, partOf } from "./part.js"

/** What an effect still needs when it is run in a transaction. */
export type Inside<R> = Exclude<R, Session.Session | Tag>

/** The ambient session, and the part of a transaction in it that an effect finds itself in. */
export const whereabouts = <Client>(
  fiber: RunningFiber,
  options: MongoClient.ClientOption<Client>
): Either.Either<Whereabouts, ForeignSession | TransactionEnded> => {
  const session = sessionIn(fiber, MongoClient.clientIn(fiber, options))
  if (session === "foreign") return Either.left(new ForeignSession({ operation: "Session.current" }))
  const part = Option.isSome(session) ? partAmong(fiber, session.value[key]) : undefined
  if (Option.isNone(session) || part === undefined) return Either.right({ session, within: undefined })
  return part.isOver || part.of.ended !== "no"
    ? Either.left(new TransactionEnded({ operation: "Transaction.run" }))
    : Either.right({ session, within: { part, session: session.value } })
}

interface Whereabouts {
  readonly session: Option.Option<Session.Service>
  readonly within: { readonly part: Part; readonly session: Session.Service } | undefined
}

/** The part of a transaction in a session that the running fiber is in. */
export const partIn = (gate: Gate): Effect.Effect<Part | undefined> =>
  Effect.withFiberRuntime((fiber) => Effect.succeed(partAmong(fiber, gate)))

const partAmong = (fiber: RunningFiber, gate: Gate): Part | undefined => partOf(fiber, gate.lane) ?? Manual.active(gate)

/** Runs an effect with the given session, or with one that is opened for it. */
export const inSession = <A, E, R, Client>(
  session: Option.Option<Session.Service>,
  options: MongoClient.ClientOption<Client> & { readonly session?: SessionOptions.SessionOptions | undefined },
  f: (session: Session.Service) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | AcquireError, Client | R> =>
  Option.isSome(session)
    ? f(session.value)
    // Not `Effect.scoped`, which would make its scope that of the body, too.
    : Effect.acquireUseRelease(
      Scope.make(),
      (scope) => Effect.flatMap(Scope.extend(acquire({ ...options.session, client: options.client }), scope), f),
      (scope, exit) => Scope.close(scope, exit)
    )

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

/**
 * An effect as it runs without a transaction. That it needs none is in the type of `run`, which does not exclude it from
 * what the effect needs.
 */
export const without = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  session: Session.Service
): Effect.Effect<A, E, Inside<R>> =>
  Effect.mapInputContext(
    effect,
    (context: Context.Context<Inside<R>>) => Context.add(context, Session.Session, session) as Context.Context<R>
  )

/** What is run in a transaction, and how. */
export interface Transaction<A, E, R, VR, OR, E2, R2>
  extends Pick<Attempts.Plan<VR, OR>, "retry" | "onRetry" | "verifyCommit" | "isSandbox">
{
  readonly effect: Effect.Effect<A, E, R>
  readonly session: Session.Service
  readonly options: TransactionOptions.Decoded
  /** Is given the hooks that are due when the transaction has ended, after its turn. */
  readonly whenDone: (hooks: ReadonlyArray<Hook>) => Effect.Effect<void>
  /** What to run instead when somebody else has started one by hand while this waited for its turn. */
  readonly otherwise: () => Effect.Effect<A, E2, R2>
}

/** Runs a transaction of a fiber's own in a session. */
export const transaction = <A, E, R, VR, OR, E2, R2>(
  fiber: RunningFiber,
  { effect, isSandbox, onRetry, options, otherwise, retry, session, verifyCommit, whenDone }: Transaction<
    A,
    E,
    R,
    VR,
    OR,
    E2,
    R2
  >
): Effect.Effect<
  A,
  E | E2 | Attempts.RunError | SessionBusy | TransactionEnded | TransactionUnsupported,
  Inside<R> | VR | OR | R2
> =>
  andThen(ensureSupported(session), () => {
    const gate = session[key]
    const outer = innermostOf(fiber)
    const plan = {
      options: resolve(options, session),
      timeout: least(timeoutOf(options, session), outer),
      retry,
      verifyCommit: verifyCommit && alone(verifyCommit),
      onRetry: onRetry && ((retry: Telemetry.Retry) => alone(onRetry(retry))),
      // Nothing is kept of what runs in a sandbox, in whichever session.
      isSandbox: isSandbox || outer?.of.isSandbox === true,
      outer
    }
    const contextOf = (part: Part, around: Context.Context<never>) => contextIn(part, session, around)
    // What it needs besides is in the context of its part.
    // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
    const body = { effect: effect as Effect.Effect<A, E, Inside<R>>, contextOf }
    return Effect.uninterruptibleMask((restore) => {
      let hooks: ReadonlyArray<Hook> = []
      const inTurn = Spans.transaction(fiber, (fiber) =>
        andThen(enter(gate, placeOf(fiber, gate.lane), "transaction", restore, fiber), (held) => {
          if (Manual.active(gate) !== undefined) {
            Lane.leave(held)
            return Effect.succeedNone
          }
          return Effect.matchCauseEffect(Attempts.run(gate, session.client, body, plan, restore), {
            // Not the body's: those are in its exit.
            onFailure: (defect) =>
              andThen(giveBack(gate, held), () => Effect.failCause(defect)),
            onSuccess: (done) =>
              andThen(giveBack(gate, held), () => {
                hooks = done.hooks
                Log.ended(fiber, done.outcome)
                return traced(Exit.map(done.exit, Option.some))
              })
          })
        }))
      const after = (exit: Exit.Exit<A, Effect.Effect.Error<typeof inTurn>>) =>
        hooks.length === 0 ? exit : Effect.zipRight(whenDone(hooks), exit)
      return Effect.matchCauseEffect(inTurn, {
        onFailure: (cause) =>
          after(Exit.failCause(cause)),
        onSuccess: (done): Effect.Effect<A, Effect.Effect.Error<typeof inTurn> | E2, R2> =>
          Option.isSome(done) ? after(Exit.succeed(done.value)) : restore(otherwise())
      })
    })
  })

/** Fails where there are no transactions. */
export const ensureSupported = (
  { client, options }: Session.Service
): Effect.Effect<void, TransactionUnsupported | MongoError> => {
  if (options.snapshot) return new TransactionUnsupported({ reason: "SnapshotSession" })
  const known = client[MongoClient.inner].knownDeployment()
  return andThen(
    Option.isSome(known) ? Effect.succeed(known.value) : client.deployment,
    ({ kind }) => kind === "standalone" ? new TransactionUnsupported({ reason: "Standalone" }) : Effect.void
  )
}

/** The options that a transaction is started with. */
export const resolve = (decoded: TransactionOptions.Decoded, session: Session.Service): TransactionOptions.Resolved =>
  DriverTransaction.withClientDefaults(
    TransactionOptions.merge(
      { ...decoded, timeout: timeoutOf(decoded, session) },
      TransactionOptions.merge(
        session.options.defaultTransactionOptions ?? none,
        session.client[MongoClient.inner].transactions
      )
    ),
    session.client.driver
  )

const none: TransactionOptions.Decoded = {
  readConcern: undefined,
  writeConcern: undefined,
  readPreference: undefined,
  maxCommitTime: undefined,
  timeout: undefined
}

/** How long a transaction may take, operations included, as far as anybody has set that. */
export const timeoutOf = (
  { timeout }: TransactionOptions.Decoded,
  { client, options, [key]: gate }: Session.Service
): Duration.Duration | undefined =>
  timeout ?? options.defaultTransactionOptions?.timeout ?? client[MongoClient.inner].transactions?.timeout ??
    gate.timeout

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
