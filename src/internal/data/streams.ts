/**
 * Where a stream of what the server has is run, and what else needs a session of its own where there is none.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import type { OperationError } from "../../SessionErrors.js"
import { bounded } from "../driver/deadline.js"
import { acquirePossible } from "../session/acquire.js"
import { type AsGiven, clientIn } from "../session/client.js"
import type { Deadline } from "../time/clock.js"
import { type Added, operation, place, type Placed } from "./operation.js"
import { isAcknowledged } from "./placement.js"
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
): Effect.Effect<Placed, OperationError, AsGiven<Client> | Scope.Scope> =>
  request.kind === "write"
    ? place(target, request)
    : Effect.flatMap(place(target, request), (placed) => inSession(placed, target))

const inSession = <Client>(
  placed: Placed,
  { client }: Target<Client>
): Effect.Effect<Placed, OperationError, AsGiven<Client> | Scope.Scope> =>
  Option.isSome(placed.session)
    ? Effect.succeed(placed)
    : Effect.map(
      acquirePossible({ client, causalConsistency: false }),
      Option.match({ onNone: () => placed, onSome: placed.within })
    )

/**
 * Runs a command of a database, or makes a collection. The driver passes no option on by which these could do without the client's
 * `socketTimeoutMS`; in a session it has no limit but that of the session. So one with a `timeout` gets a session of its own.
 */
export const command = <A, Client>(
  target: Target<Client>,
  request: Request,
  evaluate: (db: Driver.Db, added: Added) => PromiseLike<A>
): Effect.Effect<A, OperationError, AsGiven<Client>> =>
  Effect.withFiberRuntime((fiber) => {
    const { socketTimeoutMS } = clientIn(fiber, target).driver.options
    return socketTimeoutMS === undefined || socketTimeoutMS === 0
      ? operation(target, request, evaluate)
      : limited(target, request, evaluate)
  })

/** Runs an operation whose time limit the driver keeps only in a session: with a `timeout` it gets one of its own. */
export const limited = <A, Client>(
  target: Target<Client>,
  request: Request,
  evaluate: (db: Driver.Db, added: Added) => PromiseLike<A>
): Effect.Effect<A, OperationError, AsGiven<Client>> =>
  Effect.scoped(Effect.gen(function*() {
    const placed = yield* place(target, request)
    const deadline = yield* Effect.withFiberRuntime<Deadline | undefined>((fiber) =>
      Effect.succeed(placed.deadline(fiber))
    )
    const isApart = deadline !== undefined && isAcknowledged(target, request, placed.client)
    if (!isApart) return yield* placed.run((added) => evaluate(placed.db, added))
    const name = { operation: request.name, namespace: placed.namespace }
    const { db, run } = yield* bounded(deadline, name, inSession(placed, target))
    return yield* run((added) => evaluate(db, added), request.name, deadline)
  }))

/** A command as it is sent. The driver writes the session's causal time into its read concern; a snapshot session has its own. */
export const copied = (command: Driver.Document, { maxTimeMS, readConcern }: Added): Driver.Document =>
  maxTimeMS !== undefined
    // The driver sends no option of the name with a command.
    ? { ...copied(command, readConcern === undefined ? {} : { readConcern }), maxTimeMS }
    : command["readConcern"] === undefined
    ? command
    : { ...command, readConcern: { ...command["readConcern"], ...Object(readConcern) } }
