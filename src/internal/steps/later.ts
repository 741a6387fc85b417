/**
 * Runs what a step has left for later.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Session from "../../Session.js"
import type { AcquireError } from "../../SessionErrors.js"
import type { Service } from "../session/client.js"
import { sessionIn } from "../session/service.js"

/** The client of a session that has ended. */
class Client extends Context.Tag("effect-mongo-session/Steps/Client")<Client, Service>() {}

/**
 * Runs an effect in the context that it was made in, but for the session there, which may have ended: it runs in that of whoever
 * runs it, if that is of the same client, and else in one of its own. What had no session gets none.
 */
export const later =
  <R>(made: Context.Context<R>) => <A, E>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | AcquireError> => {
    const past = Context.getOption(made, Session.Session)
    if (Option.isNone(past)) return Effect.mapInputContext(effect, () => made)
    const { client } = past.value
    const rest = Context.omit(Session.Session)(made) as Context.Context<R>
    return Effect.withFiberRuntime((fiber) => {
      const ambient = sessionIn(fiber, client)
      const provided: Effect.Effect<A, E> = Effect.provide(effect, rest)
      return ambient !== "foreign" && Option.isSome(ambient)
        ? provided
        : Effect.provideService(Session.scoped(provided, { client: Client }), Client, client)
    })
  }
