/**
 * Applies the propagation of `Transaction.run`: starts a transaction, joins the one around, or refuses.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Session from "../../Session.js"
import {
  type AcquireError,
  ForeignSession,
  TransactionEnded,
  type TransactionError,
  TransactionForbidden,
  TransactionRequired
} from "../../SessionErrors.js"
import type * as SessionOptions from "../../SessionOptions.js"
import { acquire } from "../session/acquire.js"
import * as MongoClient from "../session/client.js"
import { type Gate, key } from "../session/gate.js"
import { sessionIn } from "../session/service.js"
import { andThen, type RunningFiber } from "../time/fiber.js"
import { readable } from "../values/options.js"
import type { Hook } from "./attempt.js"
import * as Hooks from "./hooks.js"
import * as Join from "./join.js"
import * as Manual from "./manual.js"
import { decode, decodeSandbox, type Options, planOf, type Propagation, type SandboxOptions } from "./options.js"
import { type Part, partOf } from "./part.js"
import { type Inside, inside, transaction } from "./start.js"

/** See `Transaction.run`. */
export const run = <A, E, R, Client, VR, OR>(
  effect: Effect.Effect<A, E, R>,
  given?: Options<Client, VR, OR>
): Effect.Effect<A, E | TransactionError<Propagation>, Client | VR | OR | Inside<R>> =>
  // One step of the runtime up to the transaction itself: more steps would cost more than a short body.
  Effect.withFiberRuntime((fiber) => {
    const read = readable(given)
    if (Either.isLeft(read)) return read.left
    const { right: options = {} } = read
    const decoded = decode(read.right)
    if (Either.isLeft(decoded)) return decoded.left
    const { propagation = "required" } = options
    const place = whereabouts(fiber, options)
    if (Either.isLeft(place)) return place.left
    const { session, within } = place.right

    if (propagation === "mandatory" && within === undefined) {
      return new TransactionRequired({ operation: "Transaction.run" })
    }
    if (propagation === "never") {
      return within === undefined
        ? inSession(session, options, (service) => without(effect, service))
        : new TransactionForbidden({ operation: "Transaction.run" })
    }
    // In a sandbox nothing is ever committed, so that what would be a transaction of its own must join, with any options.
    if (within !== undefined && (propagation !== "requiresNew" || within.part.of.isSandbox)) {
      const { part, session } = within
      // By default that of the transaction around; of its own it would not take it from there.
      const isSerializable = options.isolation === undefined ? propagation === "requiresNew" ? false : undefined : true
      return andThen(
        propagation === "requiresNew" ? Effect.void : Join.ensureMet(decoded.right, part, options.isolation),
        () => {
          Join.strengthen(decoded.right, part, session[key])
          return Join.join((joined) => inside(effect, session, joined), part, decoded.right.timeout, isSerializable)
        }
      )
    }
    return inSession(within === undefined ? session : Option.none(), options, (service) =>
      transaction(fiber, {
        manner: planOf(options),
        effect,
        session: service,
        options: decoded.right,
        isSandbox: false,
        whenDone: (hooks, restore) => Hooks.run(hooks, service[key].settleTimeout, restore),
        otherwise: () => run(effect, { ...options, propagation })
      }))
  })

/**
 * What a sandbox has made of an effect.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sandboxed<A> {
  /** What the effect succeeded with. */
  readonly value: A
  /** The hooks that would have run, in order. They have not: run those that the test is about. */
  readonly hooks: ReadonlyArray<{
    /** What they were registered for. */
    readonly moment: "onCommit" | "onRollback"
    /** The hook; what it fails with is logged. */
    readonly effect: Effect.Effect<void>
  }>
}

/** See `Transaction.sandbox`. */
export const sandbox = <A, E, R, Client, OR>(
  effect: Effect.Effect<A, E, R>,
  given?: SandboxOptions<Client, OR>
): Effect.Effect<Sandboxed<A>, E | TransactionError<"requiresNew">, Client | OR | Inside<R>> =>
  Effect.withFiberRuntime((fiber) => {
    const read = readable(given)
    if (Either.isLeft(read)) return read.left
    const { right: options = {} } = read
    const decoded = decodeSandbox(options)
    if (Either.isLeft(decoded)) return decoded.left
    const place = whereabouts(fiber, options)
    if (Either.isLeft(place)) return place.left
    const { session, within } = place.right
    let hooks: Sandboxed<A>["hooks"] = []
    const told = (due: ReadonlyArray<Hook>) =>
      Effect.sync(() => {
        hooks = due.map((hook) => ({
          moment: hook.moment === "onCommit" ? hook.moment : "onRollback",
          effect: Hooks.reported(hook)
        }))
      })
    const again = () =>
      Effect.map(sandbox(effect, options), (done) => {
        hooks = done.hooks
        return done.value
      })
    const sandboxed = inSession(
      within === undefined ? session : Option.none(),
      options,
      (service) =>
        transaction(fiber, {
          manner: planOf<never, OR>(options),
          effect,
          session: service,
          options: decoded.right,
          isSandbox: true,
          whenDone: told,
          otherwise: again
        })
    )
    return Effect.map(sandboxed, (value) => ({ value, hooks }))
  })

/** The ambient session, and the part of a transaction in it that an effect finds itself in. */
const whereabouts = <Client>(
  fiber: RunningFiber,
  options: MongoClient.ClientOption<Client>
): Either.Either<Whereabouts, ForeignSession | TransactionEnded> => {
  const session = sessionIn(fiber, MongoClient.clientIn(fiber, options))
  if (session === "foreign") return Either.left(new ForeignSession({ operation: "Session.current" }))
  const part = Option.isSome(session) ? partAmong(fiber, session.value[key]) : undefined
  if (Option.isNone(session) || part === undefined) return Either.right({ session, within: undefined })
  return part.isOver || part.of.isEnded
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
const inSession = <A, E, R, Client>(
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

/**
 * An effect as it runs without a transaction. That it needs none is in the type of `run`, which does not exclude it from
 * what the effect needs.
 */
const without = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  session: Session.Service
): Effect.Effect<A, E, Inside<R>> =>
  Effect.mapInputContext(
    effect,
    (context: Context.Context<Inside<R>>) => Context.add(context, Session.Session, session) as Context.Context<R>
  )
