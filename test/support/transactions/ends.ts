/**
 * Notes what a transaction tells its hooks.
 */
import * as Effect from "effect/Effect"
import * as Transaction from "../../../src/Transaction.js"

/** Has the hook that runs, if one does, write down its name. */
export const notesEnd = (ran: Array<string>) =>
  Effect.zipRight(
    Transaction.onCommit(Effect.sync(() => ran.push("onCommit"))),
    Transaction.onRollback(Effect.sync(() => ran.push("onRollback")))
  )
