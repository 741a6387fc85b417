/**
 * The hooks of a transaction: effects that run before its commit, after its commit, or after its rollback.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import { constVoid } from "effect/Function"
import { TransactionDoomed, TransactionEnded } from "../../TransactionErrors.js"
import { contextOf, stepOut, type Turn } from "../session/turn.js"
import * as Log from "../telemetry/log.js"
import { within } from "../time/bounded.js"
import { andThen, type Restore, type RunningFiber } from "../time/fiber.js"
import type { Attempt, Hook, Moment, Share } from "./attempt.js"
import type { Ended } from "./outcome.js"
import { Part } from "./part.js"

/** Keeps an effect for a later moment, with its context and the annotations of its log. */
export const register = <A, E, R>(
  part: Part,
  moment: Moment,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<void, TransactionEnded, R> =>
  Effect.withFiberRuntime((fiber) => {
    if (hasPassed(part, moment)) return Effect.fail(new TransactionEnded({ operation: moment }))
    putOff(fiber, part, moment, effect)
    return Effect.void
  })

/**
 * Whether a moment of a part has passed, so that what is put off to it would never run. As long as nobody knows how a commit by
 * hand has ended, what belongs after it may still run.
 */
export const hasPassed = ({ isOver, of }: Part, moment: Moment): boolean =>
  isOver || (moment === "beforeCommit" ? of.isEnded || of.awaitsCommit : of.ended !== "no" && of.ended !== "unknown")

/** {@link register} for a part that is known to be open, in a step of the fiber whose context is kept. */
export const putOff = <A, E, R>(
  fiber: RunningFiber,
  part: Part,
  moment: Moment,
  effect: Effect.Effect<A, E, R>
): void => {
  const { currentContext } = fiber
  const annotations = fiber.getFiberRef(FiberRef.currentLogAnnotations)
  const kept = moment === "beforeCommit" ? currentContext : stepOut(currentContext)
  // The requirements were those of the fiber that has put it off.
  // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
  const run = effect as Effect.Effect<A, E>
  const exit = (own: Turn | undefined) =>
    Effect.withFiberRuntime<Exit.Exit<A, E>>((fiber) => {
      const context = own === undefined ? kept : Context.merge(kept, contextOf(own))
      const isAnnotated = fiber.getFiberRef(FiberRef.currentLogAnnotations) !== annotations
      const exit = Effect.exit(isAnnotated ? Effect.locally(run, FiberRef.currentLogAnnotations, annotations) : run)
      // What is around whoever runs it stays around it: a transaction of another session, a sandbox.
      return Effect.zipRight(FiberRef.set(FiberRef.currentContext, Context.merge(fiber.currentContext, context)), exit)
    })
  part.of.putOff({ moment, part, exit })
}

/**
 * Runs the hooks that belong before the commit and have not run, one after the other, and those that these register. One that
 * fails is written down in the attempt, which can then not be committed. Where it is interrupted, it leaves the context of a hook
 * behind, and the part of that hook open, of which `begins` tells.
 */
export const beforeCommit = (
  { of }: Share,
  begins: (own: Part | undefined) => void = constVoid
): Effect.Effect<void> => {
  const next = (around: Context.Context<never>): Effect.Effect<void> => {
    for (let hook = of.nextHook; hook !== undefined; hook = of.nextHook) {
      if (hook.moment !== "beforeCommit" || hook.part.hasFailed) {
        of.passHook(hook)
        continue
      }
      if (!of.mayCommit) break
      const passed = hook
      // The body has ended, and nothing belongs to its part any more.
      const own = new Part(of, undefined, undefined, hook.part.isSerializable)
      begins(own)
      return Effect.flatMap(hook.exit(own), (exit) => {
        own.close()
        begins(undefined)
        of.passHook(passed)
        return andThen(noted(of, exit), () => next(around))
      })
    }
    return FiberRef.set(FiberRef.currentContext, around)
  }
  return Effect.withFiberRuntime((fiber) => next(fiber.currentContext))
}

const noted = (attempt: Attempt, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> => {
  if (Exit.isSuccess(exit)) return Effect.void
  const { cause } = exit
  if (Cause.isInterruptedOnly(cause) || Cause.isDie(cause)) return Effect.failCause(Cause.stripFailures(cause))
  attempt.failures.failHook(cause)
  return Effect.void
}

/**
 * The hooks to run now that an attempt has ended so, in the order in which they were registered. What a failed part has
 * registered counts as rolled back, whatever became of the rest. Nothing runs where the end is not known.
 */
export const due = ({ hooks, past }: Attempt, ended: Exclude<Ended, "no">): ReadonlyArray<Hook> =>
  past.length === 0 ? select(hooks, ended) : [
    ...past.flatMap((one) => one.ended === "no" ? [] : select(one.hooks, one.ended)),
    ...select(hooks, ended)
  ]

const select = (hooks: ReadonlyArray<Hook>, ended: Exclude<Ended, "no">): ReadonlyArray<Hook> =>
  hooks.length === 0 ? hooks : hooks.filter(({ moment, part }) => {
    const hasFailed = part.hasFailed || ended === "aborted" || ended === "refused"
    return ended !== "unknown" && moment === (hasFailed ? "onRollback" : "onCommit")
  })

/** A hook that cannot fail any more: what it failed with is logged and counted. */
export const reported = ({ exit, moment }: Hook): Effect.Effect<void> =>
  Effect.flatMap(
    inOwnContext(exit(undefined)),
    Exit.match({
      onSuccess: () => Effect.void,
      onFailure: (cause) => Log.hookFailed(moment, cause)
    })
  )

// Goes back to the context that it was run in, however it ends.
const inOwnContext = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.mapInputContext(effect, (context: Context.Context<never>) => context)

/**
 * {@link beforeCommit} for who may go on with the transaction when it was interrupted: with the hook that was interrupted, unless
 * that had begun an operation, whose end is not known.
 */
export const beforeCommitByHand = (share: Share): Effect.Effect<void> =>
  Effect.suspend(() => {
    let running: Part | undefined
    const run = beforeCommit(share, (own) => {
      running = own
    })
    return Effect.onExit(inOwnContext(run), (exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit)) running?.fail(exit.cause)
      }))
  })

/**
 * What stands against a commit by hand, once its hooks have had their turn: the failure of a part or a hook, a part that has asked
 * for a rollback, or a failure for which hooks that belong before the commit did not run. Failures of operations alone are the
 * server's to judge.
 */
export const objection = ({ of }: Share): TransactionDoomed | undefined => {
  // What was sent before decides.
  if (of.ended !== "no") return undefined
  const { doom, halfDone, transient } = of.failures
  if (halfDone !== undefined) return new TransactionDoomed({ first: Cause.squash(halfDone) })
  if (of.isRollbackOnly) return new TransactionDoomed({ first: undefined, isRollbackOnly: true })
  const isDue = of.nextHook !== undefined
  return isDue ? new TransactionDoomed({ first: doom === undefined ? transient : Cause.squash(doom) }) : undefined
}

/**
 * Runs hooks one after the other, however each of them ends. Nothing interrupts them, but who waits for them and is interrupted
 * waits for so long at most: then they go on by themselves.
 */
export const run = (
  hooks: ReadonlyArray<Hook>,
  patience: Duration.Duration,
  restore: Restore
): Effect.Effect<void> =>
  hooks.length === 0 ? Effect.void : Effect.uninterruptible(Effect.flatMap(
    // What a hook forks is not waited for, and does not end with the last of them.
    Effect.forkDaemon(Effect.daemonChildren(Effect.forEach(hooks, reported, { discard: true }))),
    (running) =>
      Effect.catchAllCause(
        restore(Fiber.join(running)),
        () => Effect.asVoid(within(patience, Effect.exit(Fiber.join(running))))
      )
  ))
