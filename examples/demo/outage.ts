/** The outage: while all fibers check out, the primary is killed. Another member takes over, and later it comes back. */
import { MongoClient } from "effect-mongo-session"
import * as FailPoint from "effect-mongo-session/testing/FailPoint"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { appName } from "./client.js"
import * as Members from "./members.js"
import * as Monitor from "./Monitor.js"
import * as Screen from "./Screen.js"
import * as Shop from "./shop.js"
import { Tally } from "./Tally.js"

/** What came of it. Times are in milliseconds since the primary was killed. */
export interface Outage {
  readonly killed: Members.Running
  /** The commits that were on their way to it. */
  readonly onTheirWay: number
  readonly successor: string
  readonly electedAfter: number
  readonly firstCommitAfter: number
  readonly backAfter: number
}

/** How many checkouts must have ended before it begins. */
const after = Math.round(Shop.checkouts / 2)

/** How long each part of it may take. */
const limit = "2 minutes"

/** That many commits, at least, are on their way to the primary when it is killed. */
export const heldBack = 3

/** Lets the outage happen, where the servers are the demo's own. Opens the latch when it has begun, or will not. */
export const happen = (begun: Effect.Latch) =>
  Effect.gen(function*() {
    const { members } = yield* MongoServer.MongoServer
    if (members.length > 1) return Option.some(yield* killPrimary(begun))
    yield* begun.open
    yield* Screen.aside("The server is not the demo's own, so it is not killed.")
    return Option.none<Outage>()
  })

const killPrimary = (begun: Effect.Latch) =>
  Effect.gen(function*() {
    const server = yield* MongoServer.MongoServer
    const tally = yield* Tally
    yield* until(`${after} checkouts`, tally.now, ({ told }) => told.size >= after)
    const primary = yield* server.primary
    const processes = yield* Members.running
    const killed = yield* Effect.fromNullable(processes.find(({ host }) => host === primary.address))

    const { at, ...rest } = yield* Effect.scoped(Effect.gen(function*() {
      const onTheirWay = yield* holdCommitsBack(begun)
      const at = performance.now()
      yield* Screen.say(
        `The primary, ${killed.host}, is killed while ${onTheirWay} commits are on their way to it.`
      )
      yield* tally.down(at)
      // The end of this scope starts it again.
      yield* primary.kill
      const dead = performance.now()
      const commits = yield* until(
        "a commit by another primary",
        Effect.map(Monitor.commands, (commands) => commands.filter(isDone(dead))),
        ({ length }) => length > 0
      )
      const firstCommitAfter = Math.min(...commits.map(({ ended }) => ended)) - at
      yield* tally.down(undefined)
      // The client has found it, or it could not have sent it a commit.
      const successor = yield* Effect.flatMap(Monitor.primaries, (primaries) => Effect.fromNullable(primaries.at(-1)))
      const electedAfter = successor.since - at
      yield* Screen.say(
        `${successor.host} is primary after ${Screen.seconds(electedAfter)}; ` +
          `the first commit succeeds after ${Screen.seconds(firstCommitAfter)}.`
      )
      yield* Effect.sleep("1 second")
      return { at, killed, onTheirWay, successor: successor.host, electedAfter, firstCommitAfter }
    }))
    const backAfter = performance.now() - at
    yield* Screen.say(`${killed.host} is back after ${Screen.seconds(backAfter)}, as a secondary.`)
    return { ...rest, backAfter }
  })

// Often commits are on their way at any time. Here some are for certain, for the server holds them back.
const holdCommitsBack = (begun: Effect.Latch) =>
  Effect.gen(function*() {
    const { driver } = yield* MongoClient.MongoClient
    const mode = { times: heldBack }
    // What is sent before the server knows of it may be held back, too.
    const since = performance.now()
    yield* FailPoint.failCommand(driver, { failCommands: ["commitTransaction"], mode, appName, blockFor: "1 minute" })
    yield* begun.open
    const unanswered = Effect.map(
      Monitor.commands,
      (commands) =>
        commands.filter(({ began, ended, name }) =>
          name === "commitTransaction" && began >= since && !Number.isFinite(ended)
        )
    )
    const { length } = yield* until(`${heldBack} commits on their way`, unanswered, ({ length }) => length >= heldBack)
    return length
  })

const isDone = (since: number) => ({ began, ended, name, problem }: Monitor.Command): boolean =>
  name === "commitTransaction" && began >= since && Number.isFinite(ended) && problem === undefined

const until = <A, E, R>(what: string, look: Effect.Effect<A, E, R>, isSo: (found: A) => boolean) => {
  const found: Effect.Effect<A, E, R> = Effect.flatMap(
    look,
    (value) => isSo(value) ? Effect.succeed(value) : Effect.delay(Effect.suspend(() => found), "20 millis")
  )
  return Effect.timeoutFailCause(found, {
    duration: limit,
    onTimeout: () => Cause.die(new Error(`${limit} went by without ${what}`))
  })
}
