import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import * as Schedule from "effect/Schedule"
import { expectTypeOf } from "vitest"
import * as MongoClient from "../../src/MongoClient.js"
import type { MongoError } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import type {
  InvalidInTransaction,
  SandboxError,
  SessionBusy,
  SessionEnded,
  SessionLapsed,
  SessionMisconfigured,
  TransactionDoomed,
  TransactionEnded,
  TransactionError,
  TransactionUnsupported
} from "../../src/SessionErrors.js"
import type { Retry } from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import type * as TransactionOptions from "../../src/TransactionOptions.js"

class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}

interface Settings {
  readonly settings: unique symbol
}
interface Audit {
  readonly audit: unique symbol
}
interface Ledger {
  readonly ledger: unique symbol
}

/** A service whose methods must run inside a transaction. */
class Inventory extends Context.Tag("Inventory")<Inventory, {
  readonly reserve: (n: number) => Effect.Effect<void, "outOfStock", Transaction.Transaction>
}>() {}

type Inside = Session.Session | Transaction.Transaction

declare const work: Effect.Effect<number, "broken", Settings | Inside>
declare const inSession: Effect.Effect<number, "broken", Settings | Session.Session>
declare const free: Effect.Effect<number, "broken", Settings>
declare const verify: Effect.Effect<boolean, "unsure", Ledger>
declare const tell: (retry: Retry) => Effect.Effect<void, never, Audit>

type Ran<R, P extends Transaction.Propagation = "required"> = Effect.Effect<number, "broken" | TransactionError<P>, R>

// run: takes session and transaction out of R, and puts the client in

expectTypeOf(Transaction.run(work)).toEqualTypeOf<Ran<Settings | MongoClient.MongoClient>>()
expectTypeOf(Transaction.run(inSession)).toEqualTypeOf<Ran<Settings | MongoClient.MongoClient>>()
expectTypeOf(Transaction.run(free)).toEqualTypeOf<Ran<Settings | MongoClient.MongoClient>>()
expectTypeOf(Transaction.run(Effect.succeed("a" as const))).toEqualTypeOf<
  Effect.Effect<"a", TransactionError, MongoClient.MongoClient>
>()
expectTypeOf(Transaction.run(work, { client: Analytics })).toEqualTypeOf<Ran<Settings | Analytics>>()
expectTypeOf(Transaction.run(Transaction.run(work))).toEqualTypeOf<Ran<Settings | MongoClient.MongoClient>>()

type Client = MongoClient.MongoClient
expectTypeOf(Transaction.run(work, { propagation: "required" })).toEqualTypeOf<Ran<Settings | Client>>()
expectTypeOf(Transaction.run(work, { propagation: "requiresNew" })).toEqualTypeOf<
  Ran<Settings | Client, "requiresNew">
>()
expectTypeOf(Transaction.run(work, { propagation: "mandatory" })).toEqualTypeOf<Ran<Settings | Client, "mandatory">>()
expectTypeOf(pipe(work, Transaction.run({ propagation: "required" }))).toEqualTypeOf<Ran<Settings | Client>>()
expectTypeOf(pipe(work, Transaction.run({ propagation: "requiresNew" }))).toEqualTypeOf<
  Ran<Settings | Client, "requiresNew">
>()
expectTypeOf(pipe(work, Transaction.run({ propagation: "mandatory" }))).toEqualTypeOf<
  Ran<Settings | Client, "mandatory">
>()
for (const propagation of ["required", "requiresNew", "mandatory"] as const) {
  type Any = "required" | "requiresNew" | "mandatory"
  expectTypeOf(Transaction.run(work, { propagation })).toEqualTypeOf<Ran<Settings | Client, Any>>()
  expectTypeOf(pipe(work, Transaction.run({ propagation }))).toEqualTypeOf<Ran<Settings | Client, Any>>()
}

// never: runs without a transaction, so that what needs one still needs one

expectTypeOf(Transaction.run(work, { propagation: "never" })).toEqualTypeOf<
  Ran<Settings | Client | Transaction.Transaction, "never">
>()
expectTypeOf(pipe(work, Transaction.run({ propagation: "never" }))).toEqualTypeOf<
  Ran<Settings | Client | Transaction.Transaction, "never">
>()
expectTypeOf(Transaction.run(inSession, { propagation: "never" })).toEqualTypeOf<Ran<Settings | Client, "never">>()
expectTypeOf(Transaction.run(work, { propagation: "never", client: Analytics })).toEqualTypeOf<
  Ran<Settings | Analytics | Transaction.Transaction, "never">
>()

// Whatever else is set.
expectTypeOf(Transaction.run(work, { propagation: "never", verifyCommit: verify, onRetry: tell })).toEqualTypeOf<
  Ran<Settings | Ledger | Audit | Client | Transaction.Transaction, "never">
>()
expectTypeOf(pipe(work, Transaction.run({ propagation: "never", verifyCommit: verify, client: Analytics })))
  .toEqualTypeOf<Ran<Settings | Ledger | Analytics | Transaction.Transaction, "never">>()
expectTypeOf(pipe(work, Transaction.run({ propagation: "mandatory", onRetry: tell }))).toEqualTypeOf<
  Ran<Settings | Audit | Client, "mandatory">
>()

// A value that may be "never" does not promise a transaction either.
declare const propagation: Transaction.Propagation
declare const options: Transaction.Options
type Unsure = Ran<Settings | Client | Transaction.Transaction, Transaction.Propagation>
expectTypeOf(Transaction.run(work, { propagation })).toEqualTypeOf<Unsure>()
expectTypeOf(pipe(work, Transaction.run({ propagation }))).toEqualTypeOf<Unsure>()
expectTypeOf(Transaction.run(work, options)).toEqualTypeOf<Unsure>()
expectTypeOf(pipe(work, Transaction.run(options))).toEqualTypeOf<Unsure>()
expectTypeOf(Transaction.run(inSession, options)).toEqualTypeOf<
  Ran<Settings | Client, Transaction.Propagation>
>()
expectTypeOf<Transaction.Propagation>().toEqualTypeOf<"required" | "requiresNew" | "mandatory" | "never">()

// In a list of effects of any type, and through a function, it needs no more than that.
const listed: ReadonlyArray<Effect.Effect<unknown, unknown, Settings | Client>> = [
  Transaction.run(work),
  pipe(work, Transaction.run())
]
void listed
const around = <A, E, R>(effect: Effect.Effect<A, E, R>) => Transaction.run(effect)
expectTypeOf(around(work)).toEqualTypeOf<Ran<Settings | Client>>()

// data last

expectTypeOf(pipe(work, Transaction.run())).toEqualTypeOf<Ran<Settings | MongoClient.MongoClient>>()
expectTypeOf(pipe(work, (effect) => Transaction.run(effect))).toEqualTypeOf<Ran<Settings | MongoClient.MongoClient>>()
expectTypeOf(pipe(work, Transaction.run({ client: Analytics, timeout: "1 minute" }))).toEqualTypeOf<
  Ran<Settings | Analytics>
>()
expectTypeOf(work.pipe(Transaction.run(), Effect.catchTag("CommitUnknown", () => Effect.succeed("?")))).toEqualTypeOf<
  Effect.Effect<
    number | string,
    "broken" | Exclude<TransactionError, { readonly _tag: "CommitUnknown" }>,
    Settings | MongoClient.MongoClient
  >
>()

// verifyCommit and onRetry: what they need is in R; what the first fails with is logged, and not in E

expectTypeOf(Transaction.run(work, { verifyCommit: verify })).toEqualTypeOf<
  Ran<Settings | Ledger | MongoClient.MongoClient>
>()
expectTypeOf(Transaction.run(work, { onRetry: tell })).toEqualTypeOf<Ran<Settings | Audit | MongoClient.MongoClient>>()
expectTypeOf(Transaction.run(work, { onRetry: tell, verifyCommit: verify, client: Analytics })).toEqualTypeOf<
  Ran<Settings | Audit | Ledger | Analytics>
>()
expectTypeOf(pipe(work, Transaction.run({ onRetry: tell, verifyCommit: verify }))).toEqualTypeOf<
  Ran<Settings | Audit | Ledger | MongoClient.MongoClient>
>()
expectTypeOf(Transaction.run(work, { verifyCommit: Effect.succeed(true), onRetry: () => Effect.void })).toEqualTypeOf<
  Ran<Settings | MongoClient.MongoClient>
>()
// They run outside of the transaction: what needs it, or the session, needs one of its own.
declare const verifyInside: Effect.Effect<boolean, never, Transaction.Transaction>
expectTypeOf(Transaction.run(work, { verifyCommit: verifyInside })).toEqualTypeOf<
  Ran<Settings | MongoClient.MongoClient | Transaction.Transaction>
>()
declare const tellInside: (retry: Retry) => Effect.Effect<void, never, Session.Session>
expectTypeOf(Transaction.run(work, { onRetry: tellInside })).toEqualTypeOf<
  Ran<Settings | MongoClient.MongoClient | Session.Session>
>()
void Transaction.run(work, {
  onRetry: (retry) => {
    expectTypeOf(retry).toEqualTypeOf<Retry>()
    return Effect.void
  }
})
// @ts-expect-error it tells whether the commit happened
void Transaction.run(work, { verifyCommit: Effect.succeed("yes") })
// It can't fail.
expectTypeOf<() => Effect.Effect<void, "no">>().not.toExtend<NonNullable<Transaction.Options["onRetry"]>>()
expectTypeOf<() => Effect.Effect<void>>().toExtend<NonNullable<Transaction.Options["onRetry"]>>()

// what must run in a transaction does not compile outside of one

const reserve = Effect.flatMap(Inventory, (inventory) => inventory.reserve(1))
expectTypeOf(reserve).toEqualTypeOf<Effect.Effect<void, "outOfStock", Inventory | Transaction.Transaction>>()
const stocked = Effect.provideService(reserve, Inventory, { reserve: () => Effect.fail("outOfStock" as const) })
declare const client: MongoClient.Service

/** What a program's edge can run. */
type Runnable = Parameters<typeof Effect.runPromise>[0]

const connected = Effect.provideService(MongoClient.MongoClient, client)
expectTypeOf(stocked).not.toExtend<Runnable>()
expectTypeOf(stocked.pipe(connected)).not.toExtend<Runnable>()
expectTypeOf(Session.scoped(stocked).pipe(connected)).not.toExtend<Runnable>()
expectTypeOf(stocked.pipe(Transaction.run({ propagation: "never" }), connected)).not.toExtend<Runnable>()
expectTypeOf(stocked.pipe(Transaction.run(), connected)).toExtend<Runnable>()
expectTypeOf(stocked.pipe(Transaction.sandbox(), connected)).toExtend<Runnable>()
expectTypeOf(Transaction.run(reserve)).toEqualTypeOf<
  Effect.Effect<void, "outOfStock" | TransactionError, Inventory | MongoClient.MongoClient>
>()

// the service

expectTypeOf<Context.Tag.Service<typeof Transaction.Transaction>>().toEqualTypeOf<Transaction.Service>()
expectTypeOf<Transaction.Service>().toEqualTypeOf<{
  readonly attempt: number
  readonly options: TransactionOptions.Resolved
}>()

// hooks: before the commit in the transaction, afterwards outside of it

type Registered<R> = Effect.Effect<void, TransactionEnded, R | Transaction.Transaction>

expectTypeOf(Transaction.beforeCommit(free)).toEqualTypeOf<Registered<Settings>>()
expectTypeOf(Transaction.beforeCommit(work)).toEqualTypeOf<Registered<Settings | Session.Session>>()
expectTypeOf(Transaction.beforeCommit(reserve)).toEqualTypeOf<Registered<Inventory>>()
expectTypeOf(Transaction.onCommit(free)).toEqualTypeOf<Registered<Settings>>()
expectTypeOf(Transaction.onRollback(free)).toEqualTypeOf<Registered<Settings>>()
expectTypeOf(Transaction.onCommit(inSession)).toEqualTypeOf<Registered<Settings | Session.Session>>()
expectTypeOf(Transaction.onRollback(inSession)).toEqualTypeOf<Registered<Settings | Session.Session>>()
expectTypeOf(Transaction.onCommit(Effect.void)).toEqualTypeOf<Registered<never>>()
expectTypeOf(Transaction.onCommit(Effect.log("sent"))).toEqualTypeOf<Registered<never>>()
expectTypeOf(pipe(free, (effect) => Transaction.onCommit(effect))).toEqualTypeOf<Registered<Settings>>()
// @ts-expect-error the transaction is over by then
void Transaction.onCommit(work)
// @ts-expect-error the transaction is over by then
void Transaction.onRollback(work)
// @ts-expect-error the transaction is over by then
void Transaction.onCommit(reserve)
// @ts-expect-error the transaction is over by then
void Transaction.onCommit(Transaction.rollbackOnly)
// @ts-expect-error a hook can't put off another when the transaction is over
void Transaction.onRollback(Transaction.onRollback(free))
expectTypeOf(Transaction.beforeCommit(Transaction.onCommit(free))).toEqualTypeOf<Registered<Settings>>()
expectTypeOf(Transaction.onCommit(Transaction.run(work))).toEqualTypeOf<
  Registered<Settings | MongoClient.MongoClient>
>()

expectTypeOf(Transaction.rollbackOnly).toEqualTypeOf<
  Effect.Effect<void, TransactionEnded, Transaction.Transaction>
>()

// outside: what needs the session or the transaction can't step out

expectTypeOf(Transaction.outside(free)).toEqualTypeOf<Effect.Effect<number, "broken", Settings>>()
expectTypeOf(Transaction.outside(Transaction.run(work))).toEqualTypeOf<Ran<Settings | MongoClient.MongoClient>>()
expectTypeOf(pipe(free, (effect) => Transaction.outside(effect))).toEqualTypeOf<
  Effect.Effect<number, "broken", Settings>
>()
// @ts-expect-error it needs the session
void Transaction.outside(inSession)
// @ts-expect-error it needs the transaction
void Transaction.outside(reserve)
// @ts-expect-error it needs both
void Transaction.outside(work)

// sandbox

type Sandboxed<R> = Effect.Effect<Transaction.Sandboxed<number>, "broken" | SandboxError, R>

expectTypeOf(Transaction.sandbox(work)).toEqualTypeOf<Sandboxed<Settings | MongoClient.MongoClient>>()
expectTypeOf(Transaction.sandbox(work, { client: Analytics, onRetry: tell })).toEqualTypeOf<
  Sandboxed<Settings | Audit | Analytics>
>()
expectTypeOf(pipe(work, Transaction.sandbox())).toEqualTypeOf<Sandboxed<Settings | MongoClient.MongoClient>>()
expectTypeOf(pipe(work, Transaction.sandbox({ client: Analytics, onRetry: tell }))).toEqualTypeOf<
  Sandboxed<Settings | Audit | Analytics>
>()
expectTypeOf<Transaction.Sandboxed<number>>().toEqualTypeOf<{
  readonly value: number
  readonly hooks: ReadonlyArray<{
    readonly moment: "onCommit" | "onRollback"
    readonly effect: Effect.Effect<void>
  }>
}>()
// @ts-expect-error nothing is committed
void Transaction.sandbox(work, { verifyCommit: Effect.succeed(true) })
// @ts-expect-error it is always a transaction of its own
void Transaction.sandbox(work, { propagation: "mandatory" })

// by hand

type ManualError = SessionEnded | SessionLapsed | SessionBusy | TransactionEnded | MongoError

expectTypeOf<Transaction.ManualError>().toEqualTypeOf<ManualError>()
expectTypeOf(Transaction.start).parameters.toEqualTypeOf<[options?: TransactionOptions.TransactionOptions]>()
expectTypeOf(Transaction.start({ readConcern: "snapshot" })).toEqualTypeOf<
  Effect.Effect<void, ManualError | SessionMisconfigured | TransactionUnsupported, Session.Session>
>()
expectTypeOf(Transaction.commit).toEqualTypeOf<
  Effect.Effect<void, ManualError | TransactionDoomed | InvalidInTransaction, Session.Session>
>()
expectTypeOf(Transaction.abort).toEqualTypeOf<Effect.Effect<void, ManualError, Session.Session>>()
expectTypeOf(Transaction.commitWith({ timeout: "1 second" })).toEqualTypeOf<
  Effect.Effect<
    void,
    ManualError | SessionMisconfigured | TransactionDoomed | InvalidInTransaction,
    Session.Session
  >
>()
expectTypeOf(Transaction.abortWith({ timeout: "1 second" })).toEqualTypeOf<
  Effect.Effect<void, ManualError | SessionMisconfigured | InvalidInTransaction, Session.Session>
>()
// @ts-expect-error that is for the start to say
void Transaction.commitWith({ maxCommitTime: "1 second" })
expectTypeOf(Transaction.state).toEqualTypeOf<
  Effect.Effect<"none" | "starting" | "inProgress" | "committed" | "aborted", never, Session.Session>
>()
expectTypeOf<Transaction.State>().toEqualTypeOf<"none" | "starting" | "inProgress" | "committed" | "aborted">()
// @ts-expect-error that is an option of run
void Transaction.start({ retry: Schedule.forever })
