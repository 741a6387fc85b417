/**
 * Kills, stops, freezes and restarts members of a deployment. The scope undoes each of these.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Admin from "./admin.js"
import * as Keeper from "./keeper.js"
import { live } from "./live.js"
import type { MemberPlan, Plan } from "./mongods.js"
import * as Mongods from "./mongods.js"
import * as ReplicaSet from "./replicaSet.js"
import { WayFailed } from "./way.js"

/** A deed on the time of the system, with what to tell if it fails. */
export type Deed<E> = (doing: string) => <A, R>(
  effect: Effect.Effect<A, WayFailed | Keeper.KeeperLost, R>
) => Effect.Effect<A, E, R>

const limit = "1 minute"

/** The deeds on one member. */
export const deedsOf = <E>(plan: Plan, member: MemberPlan, deed: Deed<E>) => {
  const keeper = Keeper.at(plan.keeper)
  const { name } = member
  const die = Effect.zipRight(keeper.signal(name, "SIGKILL"), keeper.ended(name))
  const stop = Effect.whenEffect(
    Effect.gen(function*() {
      // what is frozen hears no command
      if (process.platform !== "win32") yield* keeper.signal(name, "SIGCONT")
      yield* shutDown(plan, member)
      yield* die
    }),
    keeper.signal(name, 0)
  )
  const begin = Effect.gen(function*() {
    yield* Mongods.start(plan, member, limit)
    yield* settled(plan, member)
  })
  const backAgain = Effect.zipRight(Effect.unlessEffect(begin, keeper.signal(name, 0)), settled(plan, member))
  const thaw = Effect.zipRight(keeper.signal(name, "SIGCONT"), settled(plan, member))
  return {
    kill: undone(die, backAgain).pipe(deed(`killing ${name}`)),
    stop: undone(stop, backAgain).pipe(deed(`stopping ${name}`)),
    restart: Effect.zipRight(stop, begin).pipe(
      // half of it would leave the member down for whoever comes next
      Effect.onInterrupt(() => Effect.ignore(Effect.interruptible(live(backAgain)))),
      deed(`restarting ${name}`)
    ),
    freeze: undone(Effect.asVoid(keeper.signal(name, "SIGSTOP")), thaw).pipe(deed(`freezing ${name}`)),
    thaw: thaw.pipe(deed(`thawing ${name}`))
  }
}

/** Ends a member in order, at once: a primary does not wait for others to take over. It may need to be killed. */
export const shutDown = (plan: Plan, member: MemberPlan): Effect.Effect<void> =>
  Admin.withMember(plan, member, (send) => send({ shutdown: 1, force: true, timeoutSecs: 0 })).pipe(
    // the server closes the connection instead of an answer
    Effect.ignore,
    Effect.zipRight(Effect.ignore(Keeper.at(plan.keeper).ended(member.name))),
    // a time limit ends nothing that cannot be interrupted, as what acquires a resource is
    Effect.interruptible,
    Effect.timeoutOption("15 seconds"),
    Effect.asVoid
  )

/** The member that is primary; waits for one. */
export const primary = (plan: Plan): Effect.Effect<MemberPlan, WayFailed> =>
  (plan.isReplicaSet ? Effect.flatten(ReplicaSet.primaryOf(plan)) : Effect.fromNullable(plan.members[0])).pipe(
    Effect.retry(Schedule.spaced("50 millis")),
    Effect.timeoutFail({ duration: limit, onTimeout: () => noPrimary }),
    Effect.mapError(() => noPrimary)
  )

/** The primary steps down for a minute at most; the scope lets it be elected again, and waits for a primary. */
export const stepDown = (plan: Plan): Effect.Effect<void, WayFailed, Scope.Scope> =>
  Effect.flatMap(primary(plan), (member) =>
    undone(
      Admin.withMember(plan, member, (send) =>
        send({ replSetStepDown: 60, secondaryCatchUpPeriodSecs: plan.members.length === 1 ? 0 : 10, force: true })),
      Effect.zipRight(
        // it is primary again, or about to be: that is what freezing is to be undone for
        Effect.catchIf(
          Admin.withMember(plan, member, (send) =>
            send({ replSetFreeze: 0 })),
          ({ code }) =>
            code === notSecondary,
          () =>
            Effect.void
        ),
        settled(plan)
      )
    ))

const notSecondary = 95

const undone = <A, E, E2>(
  deed: Effect.Effect<A, E>,
  undo: Effect.Effect<unknown, E2>
): Effect.Effect<void, E, Scope.Scope> =>
  // what undoes it races with clocks, which needs a region that can be interrupted
  Effect.asVoid(Effect.acquireRelease(deed, () => Effect.orDie(Effect.interruptible(live(undo)))))

const settled = (plan: Plan, back?: MemberPlan): Effect.Effect<void, WayFailed> =>
  plan.isReplicaSet
    ? Effect.timeoutFail(ReplicaSet.untilSettled(plan, back), { duration: limit, onTimeout: () => noPrimary })
    : Effect.void

const noPrimary = new WayFailed({
  reason: `the set has no primary after ${limit}`,
  fix: "let most of its members run"
})
