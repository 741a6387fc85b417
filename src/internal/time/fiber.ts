/**
 * The fiber that runs an operation, for those steps of it that are plain functions.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import type * as FiberRefs from "effect/FiberRefs"
import * as FiberRefsPatch from "effect/FiberRefsPatch"
import type * as Tracer from "effect/Tracer"

/** The fiber that runs an operation. */
export type RunningFiber = Fiber.RuntimeFiber<unknown, unknown>

/** Whether somebody has interrupted a fiber, also where nothing can be interrupted. */
export const isInterrupted = (fiber: RunningFiber): boolean =>
  !Cause.isEmpty(fiber.getFiberRef(FiberRef.interruptedCause))

/**
 * Whether something that a fiber has run ended by an interruption. Where parts run at once and one fails, the others are
 * interrupted for it: that is a failure, unless somebody has interrupted the fiber as well.
 */
export const isInterruption = (fiber: RunningFiber, cause: Cause.Cause<unknown>): boolean =>
  Cause.isInterrupted(cause) && (isInterrupted(fiber) || Cause.isInterruptedOnly(cause))

/** Makes an effect interruptible again inside of a region that is not. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * `Effect.flatMap`, but without a step of the runtime where the first effect is a result already, as it mostly is. Such a
 * step costs as much as the work in it.
 */
export const andThen = <A, E, B, E2, R2, R = never>(
  first: Effect.Effect<A, E, R>,
  next: (value: A) => Effect.Effect<B, E2, R2>
): Effect.Effect<B, E | E2, R | R2> => {
  if (!Exit.isExit(first)) return Effect.flatMap(first, next)
  const exit = first as Exit.Exit<A, E>
  return Exit.isSuccess(exit) ? next(exit.value) : Effect.failCause(exit.cause)
}

/**
 * `Effect.matchCauseEffect` without a record of functions. V8 puts such records among the old objects from the start, once many
 * have outlived a collection; there each keeps all that it refers to until the next whole collection.
 */
export const matchCause = <A, E, R, A2, E2, R2, A3, E3, R3>(
  effect: Effect.Effect<A, E, R>,
  onFailure: (cause: Cause.Cause<E>) => Effect.Effect<A2, E2, R2>,
  onSuccess: (value: A) => Effect.Effect<A3, E3, R3>
): Effect.Effect<A2 | A3, E2 | E3, R | R2 | R3> => Effect.matchCauseEffect(effect, new Cases(onFailure, onSuccess))

class Cases<F, S> {
  readonly onFailure: F
  readonly onSuccess: S

  constructor(onFailure: F, onSuccess: S) {
    this.onFailure = onFailure
    this.onSuccess = onSuccess
  }
}

/** {@link matchCause}, but at once where the effect is a result already. See {@link andThen}. */
export const match = <A, E, R, A2, E2, R2, A3, E3, R3>(
  effect: Effect.Effect<A, E, R>,
  onFailure: (cause: Cause.Cause<E>) => Effect.Effect<A2, E2, R2>,
  onSuccess: (value: A) => Effect.Effect<A3, E3, R3>
): Effect.Effect<A2 | A3, E2 | E3, R | R2 | R3> => {
  if (!Exit.isExit(effect)) return matchCause(effect, onFailure, onSuccess)
  const exit = effect as Exit.Exit<A, E>
  return Exit.isSuccess(exit) ? onSuccess(exit.value) : onFailure(exit.cause)
}

/**
 * A result, with the span of the fiber that gets it in what it has failed with, as `Effect.fail` and `Effect.die` leave it
 * there: `Cause.pretty` then shows where in the program that was.
 */
export const traced = <A, E>(exit: Exit.Exit<A, E>): Effect.Effect<A, E> =>
  Exit.isSuccess(exit) ? exit : Effect.withFiberRuntime(({ currentSpan }) => {
    if (currentSpan?._tag === "Span") {
      for (const error of [...Cause.failures(exit.cause), ...Cause.defects(exit.cause)]) annotate(error, currentSpan)
    }
    return exit
  })

// The key under which Effect looks for it.
const spanKey = Symbol.for("effect/SpanAnnotation")

// Where an error was first is what counts. Not enumerable, so that nobody prints it with the error.
const annotate = (error: unknown, span: Tracer.Span): void => {
  if (error instanceof Error && !(spanKey in error) && Object.isExtensible(error)) {
    Object.defineProperty(error, spanKey, { value: span, configurable: true })
  }
}

/** Runs an effect with the fiber refs of another fiber, such as its loggers. */
export const runAs = <A, E, R>(refs: FiberRefs.FiberRefs, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const own = fiber.getFiberRefs()
    return Effect.acquireUseRelease(
      Effect.patchFiberRefs(FiberRefsPatch.diff(own, refs)),
      () => effect,
      () => Effect.patchFiberRefs(FiberRefsPatch.diff(refs, own))
    )
  })
