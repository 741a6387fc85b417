/**
 * Where a stream of what the server has is run.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Session from "../../Session.js"
import type { OperationError } from "../../SessionErrors.js"
import { acquire } from "../session/acquire.js"
import { place, type Placed } from "./operation.js"
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
    const opened = yield* Effect.option(acquire({ client: target.client, causalConsistency: false }))
    return Option.isSome(opened) ? yield* Effect.provideService(placing, Session.Session, opened.value) : placed
  })
