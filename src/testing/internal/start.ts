/**
 * A deployment of mongods that this library starts, and the scope stops.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Keeper from "./keeper.js"
import { live } from "./live.js"
import * as Members from "./members.js"
import type { Plan } from "./mongods.js"
import * as Mongods from "./mongods.js"
import { freePorts } from "./platform.js"
import * as ReplicaSet from "./replicaSet.js"
import type { Wanted } from "./way.js"
import { undoneOnFailure, WayFailed } from "./way.js"

/** Starts the members with this mongod, and waits until they take writes. */
export const start = (binary: string, wanted: Wanted): Effect.Effect<Plan, WayFailed, Scope.Scope> =>
  wanted.progress.during(words(wanted), () =>
    undoneOnFailure(startOnce(binary, wanted)).pipe(
      // a port is chosen before mongod binds it
      Effect.retry({
        times: 3,
        while: ({ reason }) => Option.isNone(wanted.port) && /^port \d+ is in use$/.test(reason)
      })
    ))

const words = ({ members }: Wanted) => members === 1 ? "starting mongod" : `starting ${members} mongods`

const startOnce = (binary: string, wanted: Wanted): Effect.Effect<Plan, WayFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const keeper = yield* Keeper.make(wanted.parent)
    const free = yield* freePorts(wanted.members)
    const ports = Option.match(wanted.port, {
      onNone: () => free,
      onSome: (port) => free.map((_, index) => port + index)
    })
    const plan = yield* Mongods.plan(keeper, binary, wanted, ports)
    yield* Effect.forEach(plan.members, (member) => Mongods.start(plan, member, wanted.startTimeout), {
      concurrency: "unbounded",
      discard: true
    })
    yield* ReplicaSet.form(plan, wanted)
    // data that are kept are left in order
    if (plan.keepsData) {
      yield* Effect.addFinalizer(() =>
        live(Effect.forEach(plan.members, (member) => Members.shutDown(plan, member), {
          concurrency: "unbounded",
          discard: true
        }))
      )
    }
    return plan
  }).pipe(
    Effect.catchTags({
      KeeperLost: (lost) => new WayFailed({ reason: lost.message, fix: "see its output" }),
      CacheFailed: (failed) => new WayFailed({ reason: failed.message, fix: "name a folder that can be written" })
    })
  )
