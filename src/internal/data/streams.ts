/**
 * Where a stream of what the server has is run, and what else needs a session of its own where there is none.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import * as Session from "../../Session.js"
import type { OperationError } from "../../SessionErrors.js"
import { acquirePossible } from "../session/acquire.js"
import { clientIn } from "../session/client.js"
import { type Added, operation, place, type Placed } from "./operation.js"
import { optionOf } from "./options.js"
import type { Request, Target } from "./request.js"

/**
 * Finds out where a stream is run, and opens a session for it where there is none.
 *
 * A stream outlives the 30 minutes that the server keeps what belongs to an idle session, if the session is kept alive.
 * Where there can be none, the stream does without; so does what writes, which may be unacknowledged and gives nothing.
 */
export const placeStream = <Client>(
  target: Target<Client>,
  request: Request
): Effect.Effect<Placed, OperationError, Client | Scope.Scope> =>
  Effect.gen(function*() {
    const placing = place(target, request)
    const placed = yield* placing
    if (Option.isSome(placed.session) || request.kind === "write") return placed
    const opened = yield* acquirePossible({ client: target.client, causalConsistency: false })
    return Option.isSome(opened) ? yield* Effect.provideService(placing, Session.Session, opened.value) : placed
  })

/**
 * Runs a command of a database. The driver passes no option on by which such a command could do without the client's
 * `socketTimeoutMS`; in a session it has no limit but that of the session. So one with a `timeout` gets a session of its own.
 */
export const command = <A, Client>(
  target: Target<Client>,
  request: Request,
  evaluate: (db: Driver.Db, added: Added) => PromiseLike<A>
): Effect.Effect<A, OperationError, Client> =>
  Effect.withFiberRuntime((fiber) => {
    const { socketTimeoutMS } = clientIn(fiber, target).driver.options
    if (socketTimeoutMS === undefined || socketTimeoutMS === 0) return operation(target, request, evaluate)
    return Effect.scoped(Effect.gen(function*() {
      const placed = yield* place(target, request)
      // What is unacknowledged has no session.
      const isUnacknowledged = optionOf(Object(optionOf(request.options, "writeConcern")), "w") === 0
      const isApart = placed.deadline(fiber) !== undefined && !isUnacknowledged
      const { db, run } = isApart ? yield* placeStream(target, request) : placed
      return yield* run((added) => evaluate(db, added))
    }))
  })
