/**
 * Spans and their events. With Effect's default tracer, which keeps nothing, this library makes no spans.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Tracer from "effect/Tracer"
import { MongoError } from "../../MongoError.js"
import { attributes, spans } from "../../Telemetry.js"
import { clockOf } from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import { type OperationName, operationOf, summaryOf } from "./names.js"

const defaultTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** Whether a tracer keeps the spans of a fiber. An unused span costs as much as a command of the driver. */
export const isTraced = (fiber: RunningFiber): boolean =>
  fiber.currentTracer !== defaultTracer && fiber.getFiberRef(FiberRef.currentTracerEnabled)

/** The span that a fiber is in, unless it is another process's. */
export const spanOf = ({ currentSpan }: RunningFiber): Tracer.Span | undefined =>
  currentSpan?._tag === "Span" ? currentSpan : undefined

/** Notes an event in the span that a fiber is in, or in the given one. */
export const event = (
  fiber: RunningFiber,
  name: string,
  given: Record<string, unknown> = {},
  span: Tracer.Span | undefined = spanOf(fiber)
): void => {
  if (isTraced(fiber) && span?.status._tag === "Started") {
    span.event(name, clockOf(fiber).unsafeCurrentTimeNanos(), given)
  }
}

/**
 * A span around an effect. It is not told the cause of a failure, nor of what a failure was made of: exporters write out
 * the causes of errors, and a driver's error quotes documents and hosts.
 */
const around = <A, E, R>(
  name: string,
  options: Tracer.SpanOptions,
  effect: (span: Tracer.Span) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  // Made by hand: `Effect.withSpan` takes longer than the operation itself.
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.makeSpan(name, { captureStackTrace: false, ...options }), (span) =>
      Effect.withFiberRuntime((fiber) => {
        const outside = fiber.currentContext
        const over = (exit: Exit.Exit<A, E>): Effect.Effect<A, E> =>
          Effect.flatMap(FiberRef.set(FiberRef.currentContext, outside), () => {
            end(fiber, span, Exit.mapErrorCause(exit, withoutCauses))
            return exit
          })
        return Effect.flatMap(
          FiberRef.set(FiberRef.currentContext, Context.add(outside, Tracer.ParentSpan, span)),
          () =>
            Effect.matchCauseEffect(
              restore(Effect.suspend(() =>
                effect(span)
              )),
              {
                onFailure: (cause) => over(Exit.failCause(cause)),
                onSuccess: (value) => over(Exit.succeed(value))
              }
            )
        )
      }))
  )

const withoutCauses = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> =>
  Cause.match(cause, {
    onEmpty: Cause.empty,
    onFail: (error): Cause.Cause<unknown> => Cause.fail(withoutCause(error)),
    onDie: (defect) => Cause.die(withoutCause(defect)),
    onInterrupt: Cause.interrupt,
    onSequential: Cause.sequential,
    onParallel: Cause.parallel
  })

const withoutCause = (error: unknown): unknown => {
  if (!(error instanceof Error)) return error
  const { message, name, stack } = error
  return Object.assign(new Error(message), { name, stack })
}

/** The span of a transaction that a fiber starts by hand; whoever ends the transaction ends it. None without a tracer. */
export const standing = (fiber: RunningFiber): Tracer.Span | undefined => {
  if (!isTraced(fiber)) return undefined
  const span = child(fiber, spans.transaction, fiber.currentSpan, "internal")
  span?.attribute(attributes.system, system)
  return span
}

/** A span that begins now, for whoever ends it. */
export const child = (
  fiber: RunningFiber,
  name: string,
  parent: Tracer.AnySpan | undefined,
  kind: Tracer.SpanKind
): Tracer.Span | undefined =>
  fiber.currentTracer?.span(
    name,
    Option.fromNullable(parent),
    Context.empty(),
    [],
    fiber.getFiberRef(FiberRef.currentTracerTimingEnabled) ? clockOf(fiber).unsafeCurrentTimeNanos() : 0n,
    kind
  )

/** Ends a span now. Where times are not to be taken, it has begun at 0. */
export const end = (fiber: RunningFiber, span: Tracer.Span, exit: Exit.Exit<unknown, unknown>): void =>
  span.end(span.status.startTime === 0n ? 0n : clockOf(fiber).unsafeCurrentTimeNanos(), exit)

/** The span around a transaction of a fiber, with all its attempts. */
export const transaction = <A, E, R>(
  fiber: RunningFiber,
  run: (fiber: RunningFiber) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  isTraced(fiber)
    ? around(spans.transaction, { attributes: { [attributes.system]: system } }, () =>
      Effect.withFiberRuntime<A, E, R>(run))
    : run(fiber)

/** The span around a round of the keep-alive in which so many sessions are to be refreshed. */
export const keepAlive = <A, E, R>(sessions: number, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime<A, E, R>((fiber) =>
    sessions > 0 && isTraced(fiber)
      ? around(
        spans.keepAlive,
        { attributes: { [attributes.system]: system, [attributes.sessions]: sessions } },
        (span) => Effect.tapErrorCause(effect, (cause) => Effect.sync(() => failed(span, cause)))
      )
      : effect
  )

/** Runs an effect outside of the current span: background work is no part of the operation that started it. */
export const apart = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(
    effect,
    (context: Context.Context<R>) => Context.omit(Tracer.ParentSpan)(context) as Context.Context<R>
  )

/**
 * The span around an operation of data access, below the given span or that of the fiber, with the names of MongoDB's
 * specification and of OpenTelemetry's conventions for databases. Documents and filters are never in it. Whoever runs the operation tells the span how it has failed, by {@link failed}.
 */
export const operation = <A, E, R>(
  { collection, database, name }: OperationName,
  parent: Tracer.Span | undefined,
  effect: (span: Tracer.Span) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  const operation = operationOf(name)
  const summary = summaryOf(operation, { collection, database })
  return around(
    summary,
    {
      kind: "client",
      ...(parent === undefined ? {} : { parent }),
      attributes: {
        [attributes.system]: system,
        [attributes.namespace]: database,
        [attributes.operation]: operation,
        [attributes.operationSummary]: summary,
        ...(collection === undefined ? {} : { [attributes.collection]: collection })
      }
    },
    effect
  )
}

/** What `db.system.name` says. */
export const system = "mongodb"

/** The kind of a failure, in one word; there are few of these. */
export const errorTypeOf = (cause: Cause.Cause<unknown>): string => {
  const failure = Cause.squash(cause)
  if (Cause.isInterruptedOnly(cause)) return "interrupted"
  if (failure instanceof MongoError) return failure.reason
  if (Predicate.hasProperty(failure, "_tag") && typeof failure._tag === "string") return failure._tag
  // What OpenTelemetry calls whatever has no name.
  return failure instanceof Error ? failure.name : "_OTHER"
}

/** Records in a span why its operation failed. */
export const failed = (span: Tracer.Span, cause: Cause.Cause<unknown>, errorType = errorTypeOf(cause)): void => {
  span.attribute(attributes.errorType, errorType)
  const failure = Cause.squash(cause)
  if (failure instanceof MongoError && failure.code !== undefined) {
    span.attribute(attributes.statusCode, String(failure.code))
  }
  if (failure instanceof Error && !Cause.isInterruptedOnly(cause)) {
    span.attribute(attributes.exceptionType, failure.name)
    span.attribute(attributes.exceptionMessage, failure.message)
    span.attribute(attributes.exceptionStacktrace, failure.stack)
  }
}
