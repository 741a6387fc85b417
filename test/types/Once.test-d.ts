import * as OldSchema from "@effect/schema/Schema"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { expectTypeOf } from "vitest"
import * as MongoClient from "../../src/MongoClient.js"
import * as Once from "../../src/Once.js"
import type * as Session from "../../src/Session.js"
import type { OnceError } from "../../src/SessionErrors.js"
import type * as Transaction from "../../src/Transaction.js"

class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}

interface Settings {
  readonly settings: unique symbol
}

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", {}) {}

declare const work: Effect.Effect<number, "broken", Settings | Session.Session | Transaction.Transaction>
declare const nothing: Effect.Effect<void>

const Typed = Once.make("typed", { result: Schema.NumberFromString, failure: OutOfStock })

// What the effect fails with, and the failures that are declared; session and transaction are provided.
expectTypeOf(Typed.run("key", work)).toEqualTypeOf<
  Effect.Effect<number, "broken" | OutOfStock | OnceError, MongoClient.MongoClient | Settings>
>()

// Without a result there is none.
expectTypeOf(Once.make("untyped").run("key", nothing)).toEqualTypeOf<
  Effect.Effect<void, OnceError, MongoClient.MongoClient>
>()
// @ts-expect-error an effect that succeeds with something else than the result
void Typed.run("key", nothing)

// Both packages of schemas, and another client.
expectTypeOf(Once.make("old", { result: OldSchema.Number, client: Analytics }).run("key", work)).toEqualTypeOf<
  Effect.Effect<number, "broken" | OnceError, Analytics | Settings>
>()

// @ts-expect-error the write concern is always that of a majority
void Typed.run("key", work, { writeConcern: 1 })
// @ts-expect-error nothing need be verified
void Typed.run("key", work, { verifyCommit: nothing })
