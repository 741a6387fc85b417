/**
 * Warns of a transaction that is on the way to become too large or too old for the server.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import * as Telemetry from "../../Telemetry.js"
import type * as TransactionOptions from "../../TransactionOptions.js"
import type { RunningFiber } from "../time/fiber.js"
import { runLike } from "./background.js"
import type { Lifetime } from "./lifetime.js"
import * as Spans from "./spans.js"

/** What a transaction may have too much of. */
export type Kind = "documents" | "operations" | "bytes" | "age"

/** From where on one transaction is warned of, and what was said of it already, in whichever attempt. */
export class Warnings {
  readonly documents: number
  readonly operations: number
  readonly bytes: number
  /** None: half of what the server allows. */
  readonly age: Duration.Duration | false | undefined
  readonly lifetime: Lifetime
  #told: Set<Kind> | undefined

  constructor(given: TransactionOptions.Decoded["warnings"], lifetime: Lifetime) {
    this.documents = thresholdOf(given?.documents, 1000)
    this.operations = thresholdOf(given?.operations, 1000)
    this.bytes = thresholdOf(given?.bytes, 2 ** 24)
    this.age = given?.age
    this.lifetime = lifetime
  }

  /** Warns of an attempt of a fiber, in the log and in a span, unless the same was said of the transaction before. */
  tell(kind: Kind, fiber: RunningFiber, facts: Readonly<Record<string, unknown>>, span: Tracer.Span | undefined): void {
    const told = this.#told ??= new Set()
    if (told.has(kind)) return
    told.add(kind)
    const { hint, name } = of[kind]
    runLike(fiber, Effect.annotateLogs(Effect.logWarning(Telemetry.messages[name]), { ...facts, hint }))
    // In an effect, which nobody waits for: what a tracer throws would end the process.
    runLike(fiber, Effect.sync(() => Spans.event(fiber, Telemetry.events[name], facts, span)))
  }
}

const thresholdOf = (given: number | false | undefined, byDefault: number): number =>
  given === false ? Infinity : given ?? byDefault

const of: Readonly<
  Record<
    Kind,
    { readonly name: keyof typeof Telemetry.events & keyof typeof Telemetry.messages; readonly hint: string }
  >
> = {
  documents: {
    name: "manyDocuments",
    hint: "MongoDB advises to write no more than 1,000 documents in a transaction. Split the work into several " +
      "transactions; or set `warnings.documents` of this one, if so many are meant."
  },
  operations: {
    name: "manyOperations",
    hint: "The transaction holds what it has written during each of them. Write many documents by one `insertMany`, " +
      "`updateMany` or `bulkWrite`, and read them by one `find`; or set `warnings.operations`, if so many are meant."
  },
  bytes: {
    name: "manyBytes",
    hint:
      "The server keeps what an open transaction writes in its cache, and aborts it when that is full. Split the work " +
      "into several transactions; or set `warnings.bytes` of this one, if so much is meant."
  },
  age: {
    name: "long",
    hint:
      "The server aborts a transaction that is older than its `transactionLifetimeLimitSeconds`, a minute by default. " +
      "Do slow work before or after the transaction, or split it; or set `warnings.age`, if it is meant to take so long."
  }
}
