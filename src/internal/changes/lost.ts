/**
 * How a consumer goes on when the history that it needs is no longer there.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { MongoError } from "../../MongoError.js"
import * as Session from "../../Session.js"
import type { ConsumerReplaced, OperationError } from "../../SessionErrors.js"
import { amended } from "../driver/errors.js"
import * as Log from "../telemetry/log.js"
import { type Checkpoint, storeAlone, toStored } from "./checkpoint.js"
import type { Held } from "./place.js"
import { isHistoryLost, type Position } from "./position.js"

/** What a consumer does then: fail, go on with what happens from now on, or with a copy that the effect makes before. */
export type OnLost<E = never, R = never> = "fail" | "now" | Effect.Effect<unknown, E, R>

/** Follows a stream from a position on, and from a later one if the history between is lost. */
export const surviving = <A, E, R, E3, R3>(
  steps: (at: Position) => Stream.Stream<A, E, R>,
  at: Position,
  { checkpoint, onLost, session }: {
    readonly checkpoint: Checkpoint<Held>
    readonly session: Session.Service
    readonly onLost: OnLost<E3, R3>
  }
): Stream.Stream<A, E | E3 | MongoError | OperationError | ConsumerReplaced, R | Exclude<R3, Session.Session> | Held> =>
  Stream.catchAll(steps(at), (error) => {
    if (!isHistoryLost(error)) return Stream.fail(error)
    if (onLost === "fail") return Stream.fail(amended(error, { hint }))
    const copied: Effect.Effect<unknown, E3, Exclude<R3, Session.Session>> = onLost === "now"
      ? Effect.void
      : Effect.provideService(onLost, Session.Session, session)
    const anew = Effect.gen(function*() {
      // Before the copy is made, which sees all that was written until then: what comes later is in the stream.
      yield* Session.provide(storeAlone(checkpoint, {}), session)
      const startAtOperationTime = Option.getOrUndefined(yield* session.operationTime)
      const next: Position = startAtOperationTime === undefined ? {} : { startAtOperationTime }
      yield* Log.historyLost(checkpoint.name, onLost === "now" ? "from now on" : "after a copy")
      yield* copied
      yield* Session.provide(storeAlone(checkpoint, toStored(next)), session)
      return surviving(steps, next, { checkpoint, onLost, session })
    })
    return Stream.unwrap(anew)
  })

const hint =
  "The server's oplog no longer reaches back to the checkpoint. Say by `onLost` how to go on: from now on, or after " +
  "an effect that copies what is there. Or set the checkpoint by `ChangeStream.checkpoints`."
