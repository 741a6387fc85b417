/**
 * A transaction under manual control: it belongs to its session, and lasts until the program ends it or the session ends.
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import type { MongoError } from "../../MongoError.js"
import { InvalidInTransaction } from "../../SessionErrors.js"
import type * as TransactionOptions from "../../TransactionOptions.js"
import * as DriverTransaction from "../driver/transaction.js"
import { inner, type Service } from "../session/client.js"
import { type Gate, key } from "../session/gate.js"
import { Session } from "../session/service.js"
import type { Description, Standing } from "../session/turn.js"
import * as Log from "../telemetry/log.js"
import { Warnings } from "../telemetry/warnings.js"
import { within } from "../time/bounded.js"
import * as Time from "../time/clock.js"
import { isInterrupted, type RunningFiber } from "../time/fiber.js"
import { abort as abortOf } from "./abort.js"
import { Attempt, type Hook, Run } from "./attempt.js"
import { contender } from "./contention.js"
import * as Hooks from "./hooks.js"
import type { Ended } from "./outcome.js"
import { innermostOf, Part } from "./part.js"

/** A transaction that a program has started by hand; it lasts until the program ends it, or its session ends. */
export class Manual extends Part implements Standing {
  readonly #gate: Gate
  readonly #client: Service
  #number: number

  constructor(
    fiber: RunningFiber,
    gate: Gate,
    client: Service,
    options: TransactionOptions.Resolved,
    timeout: Duration.Duration | undefined
  ) {
    // Who ends it may wait for others by hand, so that nobody waits for it.
    const manner = { doesQueue: false, span: fiber.currentSpan }
    super(
      new Attempt({
        number: 1,
        options,
        sessionLane: gate.lane,
        // Its operations queue with all others of the session: whoever started it may be any fiber.
        lane: gate.lane,
        outer: undefined,
        isSandbox: false,
        run: new Run(
          new Warnings(options.warnings, client[inner].lifetime),
          timeout,
          undefined,
          contender(fiber, client, manner)
        )
      })
    )
    this.#gate = gate
    this.#client = client
    this.#number = DriverTransaction.transactionNumberOf(gate.session)
  }

  /** Its number in the session. */
  get number(): number {
    return this.#number
  }

  /** Notes the number that the session has given it: each start has another. */
  takesNumber(): void {
    this.#number = DriverTransaction.transactionNumberOf(this.#gate.session)
  }

  // A program that ends a transaction by hand sees the server's own answers, as the specification has it.
  override refusal(): undefined {
    return undefined
  }

  override observe<E>(cause: Cause.Cause<E>, description?: Description): Cause.Cause<E | MongoError> {
    return this.of.explain(cause, description)
  }

  get span(): Tracer.Span | undefined {
    return this.of.span
  }

  abort(atMost: Duration.Duration): Effect.Effect<void> {
    return Effect.withFiberRuntime((fiber) => {
      const own = limitOf(this.#gate, this.of, undefined)
      const limit = own === undefined ? atMost : Duration.min(own, atMost)
      const left = shared(fiber, limit)
      return this.of.isOver ? Effect.void : Effect.flatten(abortOf(this.#gate, this.#client, left))
    })
  }

  get abandon(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.of.isOver) return Effect.void
      const run = (due: ReadonlyArray<Hook>) => Hooks.run(due, this.#gate.settleTimeout, identity)
      const { ended: known, ending } = this.of
      const ended = finish(this.of, known !== "no" ? known : ending === "commitTransaction" ? "unknown" : "aborted")
      return Effect.asVoid(within(this.#gate.settleTimeout, Effect.flatMap(ended, run)))
    })
  }
}

/** The last transaction of a session that was started by hand. */
export const lastOf = (gate: Gate): Manual | undefined => {
  const standing = gate.standing
  return standing instanceof Manual ? standing : undefined
}

/** The transaction of a session that is under manual control, if it is open and nobody is ending it. */
export const active = (gate: Gate): Part | undefined => {
  const last = lastOf(gate)
  return last !== undefined && !last.of.isOver && last.of.ending === undefined && gate.session.inTransaction()
    ? last
    : undefined
}

/** Fails inside a transaction, whoever controls it, of what must not be there. */
export const ensureOutside = (operation: string): Effect.Effect<void, InvalidInTransaction> =>
  Effect.withFiberRuntime((fiber) => {
    const ambient = Context.getOption(fiber.currentContext, Session)
    const byHand = Option.flatMapNullable(ambient, (session) => active(session[key]))
    return innermostOf(fiber) === undefined && Option.isNone(byHand)
      ? Effect.void
      : Effect.fail(new InvalidInTransaction({ operation, option: operation }))
  })

/** How long the end of a transaction may take: its own limit, else that of the transaction, else that of the session. */
export const limitOf = (gate: Gate, of: Attempt | undefined, own: Duration.Duration | undefined) =>
  own ?? of?.run.timeout ?? gate.timeout

/** One time limit for all that is sent. Who was interrupted meanwhile has waited for the first command, and for no other. */
export const shared = (fiber: RunningFiber, limit: Duration.Duration | undefined) => {
  const deadline = limit && Time.start(fiber, limit)
  const before = isInterrupted(fiber)
  return () =>
    isInterrupted(fiber) && !before
      ? Duration.zero
      : deadline && Duration.millis(Math.max(0, deadline.left()))
}

/**
 * Notes how a transaction has ended, and gives what was put off until then. That is run once; who commits again finds nothing of
 * it, unless it was not known how the first commit ended.
 */
export const finish = (
  transaction: Attempt,
  ended: Exclude<Ended, "no">,
  isOver = true
): Effect.Effect<ReadonlyArray<Hook>> =>
  Effect.withFiberRuntime((fiber) => {
    const isNews = transaction.ended !== ended
    const due = Hooks.due(transaction, ended)
    if (isNews) Log.ended(fiber, Log.outcomeOf[ended], transaction.span)
    if (isOver) transaction.close()
    transaction.end(ended)
    transaction.unwatch(Log.outcomeOf[ended])
    if (ended !== "unknown") transaction.dropHooks()
    return Effect.succeed(due)
  })
