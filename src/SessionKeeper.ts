/**
 * Keeps idle sessions alive: one daemon per client, which refreshes all of its idle sessions with one command per 10,000
 * of them, before the server drops them.
 *
 * A transaction lives for 60 seconds at most (server parameter `transactionLifetimeLimitSeconds`); no refresh extends
 * that.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type * as Tracer from "effect/Tracer"
import type * as Driver from "mongodb"
import { plan } from "./internal/session/round.js"
import * as Log from "./internal/telemetry/log.js"
import * as Spans from "./internal/telemetry/spans.js"
import * as Time from "./internal/time/clock.js"
import { MongoError } from "./MongoError.js"

/**
 * What the keeper knows of a session.
 *
 * @since 0.1.0
 * @category models
 */
export interface Member {
  /** The session's id as commands carry it; another one after a renewal. */
  readonly lsid: () => Driver.ServerSessionId
  /** Whether the session wants to be kept alive; no longer once it is being ended. */
  readonly keepAlive: () => boolean
  /** Whether an operation of the session is in flight. */
  readonly isBusy: () => boolean
  /** Milliseconds since the server last heard of the session, at the given instant. */
  readonly idleAt: (now: Time.Instant) => number
  /** Notes that the server heard of the session at the given instant. */
  readonly touch: (at: Time.Instant) => void
  /** Notes that the session has lapsed, and says whether that is news. */
  readonly noteLapse: () => boolean
  /** Whether nobody has begun to end the session. */
  readonly isOpen: () => boolean
  /** The span that it was opened in. */
  readonly openedIn: Tracer.AnySpan | undefined
  /** Ends the session. */
  readonly close: Effect.Effect<void>
}

/**
 * When and how idle sessions are refreshed.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /**
   * When to look for idle sessions. Default: every third of the server's session timeout (every 10 minutes where it is
   * 30), with jitter. After a schedule has ended, only sessions
   * that are old when they are opened are refreshed.
   */
  readonly schedule?: Schedule.Schedule<unknown> | undefined
  /** How long a session must have been idle to be refreshed. Default: a third of the server's session timeout. */
  readonly idleFor?: Duration.DurationInput | undefined
  /**
   * How a round with a failed refresh is tried again. Default: after 1, 2, 4, ... 30 seconds, for as long as there are
   * sessions to be refreshed that have not lapsed. A refresh that is not answered within a sixth of the server's session
   * timeout has failed.
   */
  readonly retry?: Schedule.Schedule<unknown, MongoError> | undefined
}

/**
 * What one round did.
 *
 * @since 0.1.0
 * @category models
 */
export interface Round {
  /** Sessions refreshed. */
  readonly refreshed: number
  /** `refreshSessions` commands that succeeded. */
  readonly commands: number
  /** Sessions that had been idle for too long already. */
  readonly lapsed: number
}

/**
 * The keeper of one client's sessions.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionKeeper {
  /** Takes a session into care; one from the pool with less than half of its life left is refreshed without delay. */
  readonly add: (member: Member) => Effect.Effect<void>
  /** Lets go of a session. */
  readonly remove: (member: Member) => void
  /** The sessions in care at this moment. */
  readonly members: () => ReadonlyArray<Member>
  /** Looks once for idle sessions and refreshes them. Never fails: failures are tried again, logged and counted. */
  readonly round: Effect.Effect<Round>
  /** Runs rounds by the schedule, and for sessions that can't wait for it, for ever. */
  readonly run: Effect.Effect<void>
}

/**
 * The most ids that one `refreshSessions` or `endSessions` may carry (specification "driver sessions").
 *
 * @example
 * ```ts
 * import { SessionKeeper } from "effect-mongo-session"
 *
 * // How many commands refresh so many sessions.
 * export const commands = (sessions: number) => Math.ceil(sessions / SessionKeeper.batchSize)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const batchSize = 10_000

/**
 * Splits into batches that fit into one command.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { SessionCommands, type SessionId, SessionKeeper } from "effect-mongo-session"
 *
 * export const endAll = (ids: ReadonlyArray<SessionId.SessionId>) =>
 *   Effect.forEach(SessionKeeper.batches(ids), (batch) => SessionCommands.endSessions(batch), { discard: true })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const batches = <A>(items: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from(
    { length: Math.ceil(items.length / batchSize) },
    (_, batch) => items.slice(batch * batchSize, (batch + 1) * batchSize)
  )

/**
 * A keeper that refreshes with the given effect. `timeout` is how long the server keeps an idle session; where it is not
 * known yet, nothing is refreshed.
 *
 * @example
 * ```ts
 * import { Duration, Effect, Option } from "effect"
 * import { SessionKeeper } from "effect-mongo-session"
 *
 * // A client makes its own. This one says what it would refresh.
 * const keeper = SessionKeeper.make(
 *   (ids) => Effect.log(`${ids.length} sessions`),
 *   Effect.succeed(Option.some(Duration.minutes(30))),
 *   { idleFor: "5 minutes" }
 * )
 *
 * export const round = Effect.map(keeper.round, ({ refreshed }) => refreshed)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  refresh: (ids: ReadonlyArray<Driver.ServerSessionId>) => Effect.Effect<void, MongoError>,
  timeout: Effect.Effect<Option.Option<Duration.Duration>>,
  options: Options
): SessionKeeper => {
  const members = new Set<Member>()
  const urgent = Effect.unsafeMakeLatch(false)
  const oneByOne = Effect.unsafeMakeSemaphore(1)
  // In whole milliseconds: the TestClock of Effect before 3.22 knows no others.
  const third = Effect.zipWith(timeout, Random.next, (known, random) => {
    const limit = Option.getOrElse(known, () => unknownTimeout)
    return Duration.millis(Math.round(Duration.toMillis(limit) / 3 * (0.8 + 0.4 * random)))
  })
  const everyThird = Schedule.addDelayEffect(Schedule.forever, () => third)

  // Planned anew when it is sent: what was used, ended or lapsed in the meantime is not refreshed.
  const keep = (batch: ReadonlyArray<Member>, known: Duration.Duration, idleFor: Duration.Duration) =>
    Effect.gen(function*() {
      const sent = yield* Time.now
      const { due } = plan(batch.filter((member) => members.has(member)), sent, known, idleFor)
      if (due.length === 0) return 0
      yield* answeredInTime(sane(refresh(due.map((member) => member.lsid()))), Duration.times(known, 1 / 6))
      const answered = yield* Time.now
      // An answer that came after the timeout does not tell whether the session was still there when it was refreshed.
      const hasLapsed = Time.lapseAfter(known)
      const alive = due.filter((member) => !hasLapsed(member.idleAt(answered)))
      alive.forEach((member) => member.touch(sent))
      yield* Log.refreshed(alive.length)
      return alive.length
    }).pipe(Effect.tapError((error) => Log.refreshFailed(batch.length, error.reason)))

  const report = (lapsed: ReadonlyArray<Member>, known: Duration.Duration) => {
    const news = lapsed.filter((member) => member.noteLapse())
    return Effect.when(Log.lapsed(news.length, known), () => news.length > 0)
  }

  // A batch that fails keeps no other from being sent.
  const pass = (total: { -readonly [K in keyof Round]: Round[K] }) =>
    Effect.gen(function*() {
      const known = yield* timeout
      total.lapsed = 0
      if (Option.isNone(known) || members.size === 0) return
      const idleFor = options.idleFor === undefined
        ? Duration.times(known.value, 1 / 3)
        : Duration.decode(options.idleFor)
      const { due, lapsed } = plan(members, yield* Time.now, known.value, idleFor)
      total.lapsed = lapsed.length
      yield* report(lapsed, known.value)
      const kept = Effect.forEach(batches(due), (batch) => Effect.either(keep(batch, known.value, idleFor)), {
        concurrency: 3
      })
      yield* Spans.keepAlive(
        due.length,
        Effect.flatMap(kept, (results) => {
          const [failures, refreshed] = Arr.separate(results)
          total.refreshed += refreshed.reduce((sum, count) => sum + count, 0)
          total.commands += refreshed.filter((count) => count > 0).length
          return failures[0] === undefined ? Effect.void : Effect.fail(failures[0])
        })
      )
    })

  // All is planned anew at each try, so that what becomes due during an outage is refreshed as soon as it is over.
  const round: Effect.Effect<Round> = Effect.suspend(() => {
    const total = { refreshed: 0, commands: 0, lapsed: 0 }
    return pass(total).pipe(
      Effect.retry(options.retry ?? patiently),
      // Logged and counted above; the next round tries again.
      Effect.ignore,
      Effect.as(total)
    )
  }).pipe(oneByOne.withPermits(1))

  return {
    add: (member) =>
      Effect.withFiberRuntime((fiber) => {
        // Its scope may be closed since.
        if (!member.isOpen()) return Effect.void
        members.add(member)
        const idle = member.idleAt(Time.nowOf(fiber))
        if (idle <= moment || !member.keepAlive()) return Effect.void
        return Effect.flatMap(
          timeout,
          (known) => Option.exists(known, (limit) => idle > Duration.toMillis(limit) / 2) ? urgent.open : Effect.void
        )
      }),
    remove: (member) => void members.delete(member),
    members: () => [...members],
    round,
    run: Effect.all(
      [
        Effect.schedule(round, options.schedule ?? everyThird),
        Effect.forever(urgent.await.pipe(Effect.zipRight(urgent.close), Effect.zipRight(round)))
      ],
      { concurrency: "unbounded", discard: true }
    )
  }
}

// MongoDB's default of localLogicalSessionTimeoutMinutes: how often to look again while no server has told its own.
const unknownTimeout = Duration.minutes(30)

// Milliseconds of idleness that are short for any server: none keeps sessions for less than a minute.
const moment = 30_000

const patiently: Schedule.Schedule<unknown> = Schedule.exponential(Duration.seconds(1)).pipe(
  Schedule.union(Schedule.spaced(Duration.seconds(30)))
)

// A function that the driver calls, as for credentials, may die; that must not end the keep-alive.
const sane = (refresh: Effect.Effect<void, MongoError>) =>
  Effect.catchAllDefect(
    refresh,
    (cause) => Effect.fail(new MongoError({ reason: "Other", operation: "refreshSessions", labels: [], cause }))
  )

// A connection that went dead without a word must not end the keep-alive. A session may have been idle for 11 fifteenths of
// the timeout when it is refreshed at last (a third, and the longest wait for the next round): after a sixth without an
// answer there is time for a second try.
const answeredInTime = (refresh: Effect.Effect<void, MongoError>, time: Duration.Duration) =>
  Effect.timeoutFail(refresh, {
    duration: time,
    onTimeout: () => new MongoError({ reason: "TimedOut", operation: "refreshSessions", labels: [] })
  })
