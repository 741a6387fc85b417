/**
 * Where an effect finds itself when it is to run in a transaction, and what is around it then.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { MongoError } from "../MongoError.js"
import * as Session from "../Session.js"
import { type AcquireError, type SessionBusy, TransactionEnded, TransactionUnsupported } from "../SessionErrors.js"
import type * as SessionOptions from "../SessionOptions.js"
import type * as Telemetry from "../Telemetry.js"
import * as TransactionOptions from "../TransactionOptions.js"
import * as Attempt from "./attempt.js"
import * as ByHand from "./byHand.js"
import type * as MongoClient from "./connection.js"
import * as DriverTransaction from "./driverTransaction.js"
import * as Engine from "./engine.js"
import * as Lane from "./lane.js"
import * as Reporting from "./reporting.js"
import { type Gate, key } from "./sessionGate.js"
import * as Spans from "./spans.js"

/** What an effect still needs when it is run in a transaction. */
export type Inside<R> = Exclude<R, Session.Session | Attempt.Transaction>

/** The ambient session, and the part of a transaction in it that an effect finds itself in. */
export const whereabouts = <Client>(options: MongoClient.ClientOption<Client>) =>
  Effect.flatMap(Session.current(options), (session): Effect.Effect<Whereabouts, TransactionEnded> => {
    if (Option.isNone(session)) return Effect.succeed({ session, within: undefined })
    return Effect.flatMap(partIn(session.value[key]), (part): Effect.Effect<Whereabouts, TransactionEnded> => {
      if (part === undefined) return Effect.succeed({ session, within: undefined })
      return part.isOver || part.of.ended !== "no"
        ? Effect.fail(new TransactionEnded({ operation: "Transaction.run" }))
        : Effect.succeed({ session, within: { part, session: session.value } })
    })
  })

interface Whereabouts {
  readonly session: Option.Option<Session.Service>
  readonly within: { readonly part: Attempt.Part; readonly session: Session.Service } | undefined
}

/** The part of a transaction in a session that the running fiber is in. */
export const partIn = (gate: Gate): Effect.Effect<Attempt.Part | undefined> =>
  Effect.map(Attempt.placeIn(gate.lane), ({ part }) => part ?? ByHand.active(gate))

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
      (scope) => Effect.flatMap(Scope.extend(Session.make({ ...options.session, client: options.client }), scope), f),
      (scope, exit) => Scope.close(scope, exit)
    )

/** An effect as it runs in a part of a transaction. */
export const inside = <A, E, R>(effect: Effect.Effect<A, E, R>, session: Session.Service, part: Attempt.Part) =>
  Effect.mapInputContext(
    effect,
    (context: Context.Context<Inside<R>>) => contextIn(part, session, context) as Context.Context<R>
  )

const contextIn = <R>(part: Attempt.Part, session: Session.Service, around: Context.Context<R>) =>
  Context.add(Context.add(around, Session.Session, session), Attempt.Transaction, part)

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

/**
 * Runs a transaction of its own in a session; `whenDone` runs after its turn, whatever happens. None when somebody else has
 * started one by hand while this waited for its turn.
 */
export const transaction = <A, E, R, VR, OR>(
  effect: Effect.Effect<A, E, R>,
  session: Session.Service,
  decoded: TransactionOptions.Decoded,
  { onRetry, retry, verifyCommit }: Pick<Engine.Plan<VR, OR>, "retry" | "onRetry" | "verifyCommit">,
  isSandbox: boolean,
  whenDone: (hooks: ReadonlyArray<Attempt.Hook>) => Effect.Effect<void>
): Effect.Effect<
  Option.Option<A>,
  E | Engine.RunError | SessionBusy | TransactionEnded | TransactionUnsupported,
  Inside<R> | VR | OR
> =>
  Effect.flatMap(Effect.zipRight(ensureSupported(session), Attempt.innermost), (outer) => {
    const gate = session[key]
    const plan = {
      options: resolve(decoded, session),
      timeout: timeoutOf(decoded, session),
      retry,
      verifyCommit: verifyCommit && alone(verifyCommit),
      onRetry: onRetry && ((retry: Telemetry.Retry) => alone(onRetry(retry))),
      isSandbox,
      outer
    }
    const contextOf = (part: Attempt.Part, around: Context.Context<never>) => contextIn(part, session, around)
    // What it needs besides is in the context of its part.
    // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
    const body = { effect: effect as Effect.Effect<A, E, Inside<R>>, contextOf }
    return Effect.uninterruptibleMask((restore) => {
      let hooks: ReadonlyArray<Attempt.Hook> = []
      const inTurn = Effect.flatMap(gate.enter("transaction", restore), (held) => {
        if (ByHand.active(gate) !== undefined) {
          Lane.leave(gate.lane, held)
          return Effect.succeedNone
        }
        return Effect.matchCauseEffect(Engine.run(gate, session.client, body, plan, restore), {
          // Not the body's: those are in its exit.
          onFailure: (defect) => {
            Lane.leave(gate.lane, held)
            return Effect.failCause(defect)
          },
          onSuccess: (done) => {
            Lane.leave(gate.lane, held)
            hooks = done.hooks
            return Effect.zipRight(Reporting.ended(done.outcome), Exit.map(done.exit, Option.some))
          }
        })
      })
      return Effect.flatMap(
        Effect.exit(Spans.transaction(inTurn)),
        (exit) => hooks.length === 0 ? exit : Effect.zipRight(whenDone(hooks), exit)
      )
    })
  })

/** Fails where there are no transactions. */
export const ensureSupported = (session: Session.Service): Effect.Effect<void, TransactionUnsupported | MongoError> =>
  session.options.snapshot
    ? new TransactionUnsupported({ reason: "SnapshotSession" })
    : Effect.flatMap(
      session.client.deployment,
      ({ kind }) => kind === "standalone" ? new TransactionUnsupported({ reason: "Standalone" }) : Effect.void
    )

/** The options that a transaction is started with. */
export const resolve = (decoded: TransactionOptions.Decoded, session: Session.Service): TransactionOptions.Resolved =>
  DriverTransaction.withClientDefaults(
    TransactionOptions.merge(
      { ...decoded, timeout: timeoutOf(decoded, session) },
      session.options.defaultTransactionOptions
    ),
    session.client.driver
  )

/** How long a transaction may take, operations included, as far as anybody has set that. */
export const timeoutOf = (
  { timeout }: TransactionOptions.Decoded,
  { options, [key]: gate }: Session.Service
): Duration.Duration | undefined => timeout ?? options.defaultTransactionOptions?.timeout ?? gate.timeout

/** An effect without its session, and outside of the transaction that it is in. */
export const alone = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(effect, (context: Context.Context<R>) => withoutSession(Attempt.stepOut(context)))

const withoutSession = <R>(context: Context.Context<R>): Context.Context<R> =>
  Context.omit(Session.Session)(context) as Context.Context<R>
