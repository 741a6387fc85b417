/**
 * Where an effect finds itself when it is to run in a transaction, and what is around it then.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { MongoError } from "../MongoError.js"
import * as Session from "../Session.js"
import { type AcquireError, TransactionEnded, TransactionUnsupported } from "../SessionErrors.js"
import type * as SessionOptions from "../SessionOptions.js"
import * as Telemetry from "../Telemetry.js"
import * as TransactionOptions from "../TransactionOptions.js"
import * as Attempt from "./attempt.js"
import * as ByHand from "./byHand.js"
import type * as MongoClient from "./connection.js"
import * as DriverTransaction from "./driverTransaction.js"
import * as Engine from "./engine.js"
import { type Gate, key } from "./sessionGate.js"

/** What an effect still needs when it is run in a transaction. */
export type Inside<R> = Exclude<R, Session.Session | Attempt.Transaction>

/** The ambient session, and the part of a transaction in it that an effect finds itself in. */
export const whereabouts = <Client>(options: MongoClient.ClientOption<Client>) =>
  Effect.gen(function*() {
    const session = yield* Session.current(options)
    const part = Option.isNone(session) ? undefined : yield* partIn(session.value[key])
    if (Option.isNone(session) || part === undefined) return { session, within: undefined }
    if (part.isOver || part.of.ended !== "no") return yield* new TransactionEnded({ operation: "Transaction.run" })
    return { session, within: { part, session: session.value } }
  })

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
  Effect.provide(effect, Context.add(Context.make(Session.Session, session), Attempt.Transaction, part))

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
  options: Pick<Engine.Plan<VR, OR>, "retry" | "onRetry" | "verifyCommit">,
  isSandbox: boolean,
  whenDone: (done: Engine.Finished<A, E | Engine.RunError>) => Effect.Effect<void>
) =>
  Effect.gen(function*() {
    yield* ensureSupported(session)
    const gate = session[key]
    const { onRetry, verifyCommit } = options
    const plan = {
      options: resolve(decoded, session),
      retry: options.retry,
      verifyCommit: verifyCommit && alone(verifyCommit),
      onRetry: onRetry && ((retry: Telemetry.Retry) => alone(onRetry(retry))),
      isSandbox,
      outer: yield* Attempt.innermost
    }
    let done: Engine.Finished<A, E | Engine.RunError> | undefined
    const attempts = Engine.run(
      gate,
      session.client,
      (part) => inside(effect, session, part),
      plan,
      (finished) => {
        done = finished
        return Telemetry.ended(finished.outcome)
      }
    )
    const inTurn = gate.inTurn("transaction", () =>
      ByHand.active(gate) === undefined ? Effect.asSome(attempts) : Effect.succeedNone)
    return yield* inTurn.pipe(
      Effect.flatMap(Effect.transposeMapOption(({ exit }) =>
        exit
      )),
      Effect.withSpan("transaction", { attributes: { "db.system.name": "mongodb" }, captureStackTrace: false }),
      Effect.onExit(() => done === undefined ? Effect.void : whenDone(done))
    )
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
    TransactionOptions.merge(decoded, session.options.defaultTransactionOptions),
    session.client.driver
  )

/** An effect without its session, and outside of the transaction that it is in. */
export const alone = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(effect, (context: Context.Context<R>) => withoutSession(Attempt.stepOut(context)))

const withoutSession = <R>(context: Context.Context<R>): Context.Context<R> =>
  Context.omit(Session.Session)(context) as Context.Context<R>
