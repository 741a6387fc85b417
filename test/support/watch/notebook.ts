/**
 * Records the order in which the hooks of a transaction run.
 */
import * as Effect from "effect/Effect"
import type { TransactionEnded } from "../../../src/SessionErrors.js"
import * as Transaction from "../../../src/Transaction.js"

/** What was noted, and how to note something. */
export interface Notebook {
  readonly lines: ReadonlyArray<string>
  readonly note: (line: string) => Effect.Effect<void>
  /** Registers one hook of each kind, which notes its moment with the given ending. */
  readonly hooks: (ending?: string) => Effect.Effect<void, TransactionEnded, Transaction.Transaction>
}

/** An empty notebook. */
export const notebook = (): Notebook => {
  const lines: Array<string> = []
  const note = (line: string) => Effect.sync(() => void lines.push(line))
  return {
    lines,
    note,
    hooks: (ending = "") =>
      Effect.all([
        Transaction.beforeCommit(note(`beforeCommit${ending}`)),
        Transaction.onCommit(note(`onCommit${ending}`)),
        Transaction.onRollback(note(`onRollback${ending}`))
      ], { discard: true })
  }
}
