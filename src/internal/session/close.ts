/**
 * Ends a session, in this order: running operation, cursors, transaction, driver session, server.
 *
 * Each step is bounded in time, and logged when it fails.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as FiberRefs from "effect/FiberRefs"
import type * as Driver from "mongodb"
import * as DriverCursor from "../driver/cursor.js"
import { timedOut } from "../driver/deadline.js"
import * as Pool from "../driver/pool.js"
import { closingStep, errorName } from "../telemetry/close.js"
import * as Log from "../telemetry/log.js"
import { giveUpAfter, grace, within } from "../time/bounded.js"
import type * as Time from "../time/clock.js"
import { runAs } from "../time/fiber.js"
import { inner } from "./client.js"
import type * as MongoClient from "./client.js"
import * as Lane from "./lane.js"
import { insist } from "./owed.js"
import type { Standing } from "./turn.js"

/** A session that is to be ended, as it is at that moment. */
export interface Ending {
  readonly client: MongoClient.Service
  readonly lane: Lane.Lane
  readonly settleTimeout: Duration.Duration
  readonly session: Driver.ClientSession
  readonly lastUsed: () => Time.Instant
  readonly isBroken: boolean
  /** Whether its server session is to be ended on the server, too; and what is left of it killed there, at once. */
  readonly endsOnServer: () => "no" | "end" | "kill"
  readonly standing: Standing | undefined
  /** Notes that something of it is still going on. */
  readonly breakUp: Effect.Effect<void>
  /** Forgets the session. */
  readonly left: () => void
}

/** Ends a session once. Whoever comes second, the session's own scope or its client's, waits for the first. */
export class Closing {
  // Those of the fiber that opened the session, which is closed as that one would close it.
  readonly #refs: FiberRefs.FiberRefs
  #isOver = false
  #waiting: Deferred.Deferred<void> | undefined

  constructor(refs: FiberRefs.FiberRefs) {
    this.#refs = refs
  }

  /** To be called when the session refuses every further use. */
  run(ending: Ending): Effect.Effect<void> {
    if (this.#isOver) return Effect.void
    if (this.#waiting !== undefined) return Deferred.await(this.#waiting)
    if (endAtOnce(ending)) {
      this.#over(ending)
      return Effect.void
    }
    const waiting = this.#waiting = Deferred.unsafeMake<void>(FiberId.none)
    const end = endInOrder(ending).pipe(
      Effect.ensuring(Effect.sync(() => this.#over(ending))),
      (end) => runAs(this.#refs, end),
      Effect.onExit((exit) => Deferred.done(waiting, exit)),
      Effect.uninterruptible
    )
    // Who has given up the operation in it waits only as long as that is given. Where no server answers, each step takes all
    // its time. The rest goes on in the background.
    return Lane.isAbandoned(ending.lane) ? Effect.asVoid(within(patienceOf(ending), end)) : end
  }

  #over(ending: Ending): void {
    this.#isOver = true
    ending.left()
  }
}

// Ends a session that has nothing to wait for, which is the usual case. Says whether it did.
const endAtOnce = (of: Ending): boolean => {
  const session = of.session
  const waits = Lane.isBusy(of.lane) || DriverCursor.hasOpen(session, of.client.driver) || of.standing !== undefined
  if (waits || of.endsOnServer() !== "no" || of.isBroken || !Pool.canEndAtOnce(session)) return false
  of.client[inner].pool.note(session, of.lastUsed())
  Pool.endAtOnce(session)
  return true
}

const endInOrder = (of: Ending): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { client } = of
    if (yield* within(patienceOf(of), Lane.withPermit(of.lane, "release", Effect.void))) {
      yield* closeCursors(client, of.session)
      yield* of.standing?.abort(client.closeTimeout) ?? Effect.void
    } else {
      yield* Log.closingFailed("running operation", "not done in time")
      yield* of.breakUp
    }
    const session = of.session
    const lsid = session.serverSession.id
    // Where somebody else has ended the driver session, its server session is in the pool already, or in use again.
    const isOurs = !session.hasEnded
    const endsOnServer = isOurs ? of.endsOnServer() : "no"
    const send = (name: "killSessions" | "endSessions") =>
      Effect.suspend(() => client[inner].adminCommand({ [name]: [lsid] }))
    const step = (name: string, sent: ReturnType<typeof send>, time = client.closeTimeout) =>
      closingStep(name, time, sent, (error) => error.reason)
    // What is dirty never comes into the pool, so that nobody else has the id.
    if (endsOnServer !== "no") Pool.markDirty(session)
    let isAnswered = true
    if (endsOnServer === "kill") {
      isAnswered = false
      // A connection that is dead without a word must not take all the time: the next try takes another one.
      const late = () => timedOut({ operation: "killSessions" })
      const again = Effect.zipRight(giveUpAfter(grace, send("killSessions"), late), send("endSessions"))
      const kill = send("killSessions").pipe(
        Effect.tap(() => Effect.sync(() => isAnswered = true)),
        Effect.onError(() => insist(client, lsid, again, ({ code }) => code === undefined))
      )
      // Before the driver aborts a transaction: that would wait for an operation that is still going on there.
      yield* step("killSessions", kill, Duration.min(client.closeTimeout, patienceOf(of)))
    }
    if (isOurs) client[inner].pool.note(session, of.lastUsed())
    yield* closingStep("session", client.closeTimeout, Effect.tryPromise(() => session.endSession()), errorName)
    // Only now: while the id is in the pool, another session may use it, and this would end that one's cursors.
    if (endsOnServer !== "no" && isAnswered) yield* step("endSessions", send("endSessions"))
    yield* of.standing?.abandon ?? Effect.void
  })

// An operation that the caller has given up already gets only a short time.
const patienceOf = ({ lane, settleTimeout }: Ending): Duration.Duration =>
  Lane.isAbandoned(lane) ? Duration.min(grace, settleTimeout) : settleTimeout

/** Closes the cursors of a driver session. */
export const closeCursors = (
  { closeTimeout, driver }: MongoClient.Service,
  of: Driver.ClientSession
): Effect.Effect<void> =>
  closingStep("cursors", closeTimeout, Effect.tryPromise(() => DriverCursor.closeOf(of, driver)), errorName)
