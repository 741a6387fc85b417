import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import * as Schedule from "effect/Schedule"
import { expectTypeOf } from "vitest"
import type * as MongoClient from "../../src/MongoClient.js"
import type { MongoError, Reason } from "../../src/MongoError.js"
import type * as Session from "../../src/Session.js"
import type { TransactionError } from "../../src/SessionErrors.js"
import type { Retry } from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import type * as TransactionOptions from "../../src/TransactionOptions.js"

interface Settings {
  readonly settings: unique symbol
}

declare const work: Effect.Effect<number, "broken", Settings | Session.Session | Transaction.Transaction>

type Ran<R> = Effect.Effect<number, "broken" | TransactionError, R>

// options: readonly, each may be undefined

expectTypeOf<Transaction.Options>().toEqualTypeOf<Readonly<Transaction.Options>>()
expectTypeOf<Transaction.SandboxOptions>().toEqualTypeOf<Readonly<Transaction.SandboxOptions>>()
expectTypeOf<{ readonly [K in keyof Transaction.Options]: undefined }>().toExtend<Transaction.Options>()
expectTypeOf<{ readonly [K in keyof Transaction.SandboxOptions]: undefined }>().toExtend<Transaction.SandboxOptions>()
expectTypeOf<{}>().toExtend<Transaction.Options>()
expectTypeOf<keyof Transaction.Options>().toEqualTypeOf<
  | keyof TransactionOptions.TransactionOptions
  | "client"
  | "propagation"
  | "isolation"
  | "retry"
  | "session"
  | "onRetry"
  | "verifyCommit"
>()
expectTypeOf<keyof Transaction.SandboxOptions>().toEqualTypeOf<
  Exclude<keyof Transaction.Options, "propagation" | "verifyCommit">
>()
expectTypeOf(Transaction.run(work, {
  readConcern: undefined,
  retry: undefined,
  session: undefined,
  onRetry: undefined,
  verifyCommit: undefined,
  propagation: undefined
})).toEqualTypeOf<Ran<Settings | MongoClient.MongoClient>>()

// @ts-expect-error an unknown option
void Transaction.run(work, { retries: 3 })
// @ts-expect-error a value that the option does not have
void Transaction.run(work, { propagation: "nested" })
// @ts-expect-error a level that transactions do not have
void Transaction.run(work, { readConcern: "linearizable" })
// @ts-expect-error an option that sessions do not have
void Transaction.run(work, { session: { causal: true } })

// The compiler tells of a mistake where it is, also in the form for pipes and beside options that are right.

// @effect-diagnostics-next-line anyUnknownInErrorContext:off
void Transaction.run({
  // @ts-expect-error a value that the option does not have
  propagation: "requires_new"
})
// @effect-diagnostics-next-line anyUnknownInErrorContext:off
void Transaction.run({
  timeout: "1 second",
  // @ts-expect-error a value that the option does not have
  propagation: "requires_new"
})
// @effect-diagnostics-next-line anyUnknownInErrorContext:off
void Transaction.run({
  timeout: "1 second",
  propagation: "never",
  // @ts-expect-error an unknown option
  retries: 3
})
void Transaction.run(work, {
  timeout: "1 second",
  // @ts-expect-error a value that the option does not have
  propagation: "requires_new"
})
void Transaction.run(work, {
  propagation: "mandatory",
  // @ts-expect-error an unknown option
  retries: 3
})
// @effect-diagnostics-next-line anyUnknownInErrorContext:off
void Transaction.sandbox({
  timeout: "1 second",
  // @ts-expect-error a level that transactions do not have
  readConcern: "linearizable"
})
void Transaction.sandbox(work, {
  timeout: "1 second",
  // @ts-expect-error a level that transactions do not have
  readConcern: "linearizable"
})

// retry: any schedule that takes the failure, whatever it tells

expectTypeOf(Transaction.backoff).toEqualTypeOf<Schedule.Schedule<number>>()
for (
  const retry of [
    Schedule.recurs(3),
    Schedule.exponential("10 millis"),
    Schedule.spaced("1 second"),
    Transaction.backoff,
    Schedule.intersect(Transaction.backoff, Schedule.recurs(3))
  ]
) {
  expectTypeOf(Transaction.run(work, { retry })).toEqualTypeOf<Ran<Settings | MongoClient.MongoClient>>()
  expectTypeOf(pipe(work, Transaction.run({ retry }))).toEqualTypeOf<Ran<Settings | MongoClient.MongoClient>>()
}
void Transaction.run(work, { retry: Schedule.recurWhile((error: MongoError) => error.reason === "WriteConflict") })
// @ts-expect-error it is given a MongoError
void Transaction.run(work, { retry: Schedule.recurWhile((error: "broken") => error === "broken") })
declare const needy: Schedule.Schedule<number, unknown, Settings>
// @ts-expect-error a schedule may need nothing
void Transaction.run(work, { retry: needy })

expectTypeOf<Retry>().toEqualTypeOf<{
  readonly attempt: number
  readonly step: "body" | "commit"
  readonly reason: Reason
  readonly label: "TransientTransactionError" | "UnknownTransactionCommitResult"
  readonly delay: Duration.Duration
  readonly elapsed: Duration.Duration
}>()
