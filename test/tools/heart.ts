/** The integration tests that tell soonest whether something of importance is broken; all of them together are quick. */
export const heart: ReadonlyArray<string> = [
  "AccessControl",
  "Collection.misuse",
  "Collection.test",
  "Cursor.session",
  "Outbox.test",
  "Session.causal",
  "Session.closing",
  "Session.interruption",
  "Session.values",
  "SessionCommands",
  "Transaction.composition",
  "Transaction.hooks",
  "Transaction.interruption",
  "Transaction.joining",
  "Transaction.options",
  "Transaction.propagation",
  "Transaction.retry"
]
