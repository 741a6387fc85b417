import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { expectTypeOf } from "vitest"
import * as MongoClient from "../../src/MongoClient.js"
import type * as Session from "../../src/Session.js"
import type { StepError, StepsError } from "../../src/SessionErrors.js"
import * as Steps from "../../src/Steps.js"
import type * as Transaction from "../../src/Transaction.js"

class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}

interface Settings {
  readonly settings: unique symbol
}

interface Mails {
  readonly mails: unique symbol
}

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", {}) {}

declare const work: Effect.Effect<number, "broken", Settings | Session.Session | Transaction.Transaction>
declare const undo: Effect.Effect<void, "undone", Mails>

const Ordering = Steps.make("ordering", { version: 1, client: Analytics })

// What the steps fail with and need; session and transaction are provided, and failed compensations are wrapped.
expectTypeOf(
  Ordering.run("id", (step) =>
    step("one", work, {
      result: Schema.NumberFromString,
      failure: OutOfStock,
      compensate: (result) => {
        expectTypeOf(result).toEqualTypeOf<number>()
        return undo
      }
    }))
).toEqualTypeOf<
  Effect.Effect<number, "broken" | OutOfStock | StepError | StepsError, Analytics | Settings | Mails>
>()

// Without a result there is none.
expectTypeOf(Ordering.run("id", (step) => step("one", work))).toEqualTypeOf<
  Effect.Effect<void, "broken" | StepError | StepsError, Analytics | Settings>
>()

// @ts-expect-error a body has a version
Steps.make("ordering", {})
