/**
 * The session that a change stream runs in: one of its own, for what waits for changes would make all else in its session
 * wait.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Session from "../../Session.js"
import {
  type AcquireError,
  InvalidInTransaction,
  type OperationError,
  type SessionEnded,
  type UseError
} from "../../SessionErrors.js"
import { place, type Placed } from "../data/operation.js"
import type { Request, Target } from "../data/request.js"
import { acquire, acquirePossible } from "../session/acquire.js"
import type { Service as Client } from "../session/client.js"
import { key } from "../session/gate.js"
import { perform } from "../session/operation.js"

/** The client, whatever its tag, where of that the type says only that it is needed. */
export class Held extends Context.Tag("effect-mongo-session/ChangeStream/Client")<Held, Client>() {}

/** Where a change stream runs. */
export interface Apart extends Placed {
  /** Fails when the session has ended in which the program follows the stream. */
  readonly ensureOpen: Effect.Effect<void, SessionEnded>
}

/** Finds out where a change stream runs: in the session that it was given, or in one of its own. */
export const placeApart = <C>(
  target: Target<C>,
  request: Request,
  given: Session.Service | undefined
): Effect.Effect<Apart, OperationError, C | Scope.Scope> => {
  if (given !== undefined) {
    return Effect.map(
      Effect.provideService(place(target, request), Session.Session, given),
      (placed) => ({ ...placed, ensureOpen: Effect.void })
    )
  }
  return Effect.gen(function*() {
    const placed = yield* place(target, request)
    const ambient = placed.session
    const ensureOpen = openness(ambient, "getMore")
    if (Option.isSome(ambient)) yield* ensureOutside(ambient.value, request.name, placed.namespace)
    const opened = yield* acquirePossible({
      client: target.client,
      causalConsistency: Option.exists(ambient, ({ options }) => options.causalConsistency),
      timeout: Option.getOrUndefined(ambient)?.[key].timeout,
      ...lasting
    })
    if (Option.isNone(opened)) return { ...placed, ensureOpen }
    if (Option.isSome(ambient)) yield* follow(ambient.value, opened.value)
    return { ...placed.within(opened.value), ensureOpen }
  })
}

// What a stream loses with its session, it resumes in another.
const lasting = { onLapse: "renew" } as const

/** Fails when the session has ended in which the program has begun something that runs apart. */
export const openness = (
  ambient: Option.Option<Session.Service>,
  operation: string
): Effect.Effect<void, SessionEnded> =>
  Option.match(ambient, {
    onNone: () => Effect.void,
    onSome: (session) => Effect.suspend(() => session[key].refusal(operation) ?? Effect.void)
  })

/** What a session has from the one that is ambient, where what the program does runs in it. */
export const inherited = (ambient: Option.Option<Session.Service>) =>
  Option.match(ambient, {
    onNone: () => ({}),
    onSome: ({ [key]: { timeout }, options: { defaultTransactionOptions, settleTimeout } }) => ({
      defaultTransactionOptions,
      settleTimeout,
      timeout
    })
  })

/** Opens a session for what the library does by itself. It sees what the ambient session has seen. */
export const openApart = <C>(
  target: Target<C>,
  request: Request,
  options: Session.Options = {}
): Effect.Effect<Session.Service, OperationError | AcquireError, C | Scope.Scope> =>
  Effect.gen(function*() {
    const { namespace, session } = yield* place(target, request)
    if (Option.isSome(session)) yield* ensureOutside(session.value, request.name, namespace)
    // Its id is never lent to anybody else, so that whoever comes after a crash may kill what it has left.
    const opened = yield* acquire({ ...options, client: target.client, release: "end", ...lasting })
    if (Option.isSome(session)) yield* follow(session.value, opened)
    return opened
  })

const follow = (ambient: Session.Service, opened: Session.Service): Effect.Effect<void, SessionEnded> =>
  ambient.options.causalConsistency
    ? Effect.flatMap(ambient.causalToken, (token) =>
      // It is no stranger's, and may lie ahead as far as the ambient session was taken.
      Effect.catchTags(opened.advanceTo(token, { maxAhead: Infinity }), {
        CausalTokenRefused: Effect.die,
        SessionMisconfigured: Effect.die
      }))
    : Effect.void

// In its turn, for what is in flight there comes before the stream. Nothing is sent.
const ensureOutside = (
  session: Session.Service,
  operation: string,
  namespace: string
): Effect.Effect<void, UseError | InvalidInTransaction> =>
  Effect.withFiberRuntime((fiber) =>
    perform(fiber, session[key], { operation, namespace }, (driverSession) =>
      driverSession.inTransaction()
        ? Either.left(new InvalidInTransaction({ operation, option: operation }))
        : Either.right(() => Promise.resolve()))
  )
