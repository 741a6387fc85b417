import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { expectTypeOf } from "vitest"
import * as Lease from "../../src/Lease.js"
import * as MongoClient from "../../src/MongoClient.js"
import type { LeaseError, LeaseLost, OperationError } from "../../src/SessionErrors.js"
import type * as Transaction from "../../src/Transaction.js"

class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}

interface Settings {
  readonly settings: unique symbol
}

declare const work: Effect.Effect<number, "broken" | LeaseLost, Settings | Lease.Held>

const Reports = Lease.make("reports", { client: Analytics })

expectTypeOf(Reports.acquire).toEqualTypeOf<Effect.Effect<Lease.Service, LeaseError, Analytics | Scope.Scope>>()

// The lease is provided.
expectTypeOf(Reports.run(work)).toEqualTypeOf<
  Effect.Effect<number, "broken" | LeaseLost | LeaseError, Analytics | Settings>
>()

// A leader that has lost its lease waits for its turn again; the effect may have lost another one.
expectTypeOf(Lease.leader("reports", work)).toEqualTypeOf<
  Effect.Effect<number, "broken" | LeaseLost | LeaseError, MongoClient.MongoClient | Settings>
>()

// A guard is for the inside of a transaction.
expectTypeOf(Lease.guard).toEqualTypeOf<
  Effect.Effect<void, LeaseLost | OperationError, Lease.Held | Transaction.Transaction>
>()
