/** Step 4: keeps a thousand idle sessions alive, with one command a second. */
import { Session } from "effect-mongo-session"
import * as Array from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Crowd, idleFor } from "./clients.js"
import * as Monitor from "./Monitor.js"
import * as Screen from "./Screen.js"

const sessions = 1_000
const ticks = 3

export const keepAlive = Effect.gen(function*() {
  yield* Screen.heading(`4. ${Screen.count(sessions)} idle sessions are kept alive, with one command a second`)
  const [time, crowd] = yield* Effect.timed(Effect.replicateEffect(Session.make({ client: Crowd }), sessions))
  const opened = performance.now()
  yield* Screen.say(`Opened ${Screen.count(sessions)} sessions in ${millis(time)}; now they are left alone.`)

  const refreshes = yield* Monitor.answered(yield* Crowd, "refreshSessions").pipe(
    // Before that, some of them have not been idle for long enough to be refreshed.
    Stream.filter(({ began }) => began - opened > Duration.toMillis(idleFor)),
    Stream.take(ticks),
    Stream.zipWithIndex,
    Stream.mapEffect(([command, index]) => Effect.as(showTick(command, index + 1), command)),
    Stream.runCollect,
    Effect.map(Array.fromIterable)
  )
  yield* Screen.keep

  const idle = yield* Effect.all(crowd.map((session) => session.idle))
  const longestIdle = Math.max(...idle.map(Duration.toMillis))
  const now = performance.now()
  const expected = new Set(crowd.map(({ id }) => id.hex))
  yield* Screen.check(
    `each command had the ids of all ${Screen.count(expected.size)} sessions, and no session of its own`,
    refreshes.every(({ ids, lsid }) =>
      lsid === undefined && ids.length === sessions && new Set(ids).size === sessions &&
      ids.every((id) => expected.has(id))
    )
  )
  const gaps = Array.zipWith(refreshes, refreshes.slice(1), (one, next) => next.began - one.began)
  yield* Screen.check("there was never more than one in a second", gaps.length > 0 && gaps.every((gap) => gap >= 990))
  yield* Screen.check(
    `left alone for ${seconds(now - opened)}, no session has been idle for more than ${seconds(longestIdle)}`,
    refreshes.slice(0, 1).every((first) => longestIdle < now - first.began)
  )
})

const showTick = ({ began, ended, ids }: Monitor.Command, tick: number) =>
  Screen.rewrite(
    `second ${tick}  ${"█".repeat(5 * tick)}${"·".repeat(5 * (ticks - tick))}  ` +
      `1 command for ${Screen.count(ids.length)} sessions, took ${millis(Duration.millis(ended - began))}`
  )

const millis = (time: Duration.Duration): string => `${Math.round(Duration.toMillis(time))} ms`

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`
