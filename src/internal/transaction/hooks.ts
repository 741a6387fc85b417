/**
 * The hooks of a transaction: effects that run before its commit, after its commit, or after its rollback.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import { TransactionEnded } from "../../TransactionErrors.js"
import { contextOf, stepOut } from "../session/turn.js"
import * as Log from "../telemetry/log.js"
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
    if (part.isOver) return Effect.fail(new TransactionEnded({ operation: moment }))
    const { currentContext } = fiber
    const annotations = fiber.getFiberRef(FiberRef.currentLogAnnotations)
    // By then the body has ended, and nothing belongs to that any more.
    const own = new Part(part.of)
    const context = moment === "beforeCommit"
      ? Context.merge(currentContext, contextOf(own))
      : stepOut(currentContext)
    const closed = Effect.ensuring(effect, Effect.sync(() => own.close()))
    // The requirements were those of the fiber that has put it off.
    const run = Effect.provide(closed, context as Context.Context<R>)
    const exit = Effect.withFiberRuntime<Exit.Exit<A, E>>((fiber) =>
      Effect.exit(
        fiber.getFiberRef(FiberRef.currentLogAnnotations) === annotations
          ? run
          : Effect.locally(run, FiberRef.currentLogAnnotations, annotations)
      )
    )
    part.of.putOff({ moment, part, exit })
    return Effect.void
  })

/**
 * Runs the hooks that belong before the commit, one after the other, and those that these register. One that fails is
 * written down in the attempt, which can then not be committed.
 */
export const beforeCommit = ({ of }: Share): Effect.Effect<void> => {
  const next = (index: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const hook = of.hooks[index]
      if (hook === undefined || !of.mayCommit) return Effect.void
      const run = hook.moment !== "beforeCommit" || hook.part.hasFailed
        ? Effect.void
        : Effect.flatMap(hook.exit, (exit) => noted(of, exit))
      return Effect.zipRight(run, next(index + 1))
    })
  return next(0)
}

const noted = (attempt: Attempt, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> => {
  if (Exit.isSuccess(exit)) return Effect.void
  const { cause } = exit
  if (Cause.isInterruptedOnly(cause) || Cause.isDie(cause)) return Effect.failCause(Cause.stripFailures(cause))
  return Effect.sync(() => attempt.failHook(cause))
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
    exit,
    Exit.match({
      onSuccess: () => Effect.void,
      onFailure: (cause) => Log.hookFailed(moment, cause)
    })
  )

/** Runs hooks one after the other, however each of them ends. */
export const run = (hooks: ReadonlyArray<Hook>): Effect.Effect<void> =>
  Effect.uninterruptible(Effect.forEach(hooks, reported, { discard: true }))
