/**
 * Reads from the environment which server to use.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Cache from "./cache.js"
import { WayFailed } from "./way.js"

/** The ways to try. */
export interface Chosen<K> {
  readonly ways: ReadonlyArray<K>
  /** Whether one was asked for, by option or environment. */
  readonly isForced: boolean
  /** The variable `MONGODB_URI`. */
  readonly uri: Option.Option<string>
}

/** All ways, or the one that the option, else the variable `MONGO_SERVER`, names. */
export const choose = <K extends string>(
  ways: ReadonlyArray<K>,
  which: K | "auto"
): Effect.Effect<Chosen<K>, WayFailed> =>
  Effect.gen(function*() {
    const uri = yield* variable("MONGODB_URI")
    const named = which === "auto" ? Option.getOrElse(yield* variable("MONGO_SERVER"), () => "auto") : which
    if (named === "auto") return { ways, isForced: false, uri }
    const forced = ways.filter((way) => way === named)
    if (forced.length > 0) return { ways: forced, isForced: true, uri }
    return yield* new WayFailed({
      reason: `MONGO_SERVER is "${named}"`,
      fix: `set it to one of ${ways.join(", ")}, or unset it`
    })
  })

/** The given folder, else that of the variable `EFFECT_MONGO_SESSION_CACHE`, else the usual one; made if need be. */
export const cacheFolder = (given: Option.Option<string>): Effect.Effect<string, WayFailed> =>
  Effect.gen(function*() {
    const named = yield* variable("EFFECT_MONGO_SESSION_CACHE")
    return yield* Effect.mapError(Cache.folder(Option.orElse(given, () => named)), (failed) =>
      new WayFailed({ reason: failed.message, fix: "name a folder that can be written in EFFECT_MONGO_SESSION_CACHE" }))
  })

// an empty variable is how a shell says that there is none
const variable = (name: string): Effect.Effect<Option.Option<string>, WayFailed> =>
  Config.option(Config.string(name)).pipe(
    Effect.map(Option.filter((text) => text !== "")),
    Effect.mapError(() => new WayFailed({ reason: `${name} cannot be read`, fix: `correct or unset ${name}` }))
  )
