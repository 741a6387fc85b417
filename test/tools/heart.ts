/** The integration tests that tell soonest whether something of importance is broken; all of them together are quick. */
export const heart: ReadonlyArray<string> = [
  "AccessControl",
  "Collection.misuse",
  "Cursor.session",
  "Outbox.test",
  "Session.causal",
  "Session.closing",
  "Session.interruption",
  "Session.values",
  "SessionCommands",
  "Transaction.composition",
  "Transaction.hooks",
  "Transaction.joining",
  "Transaction.options",
  "Transaction.propagation",
  "Transaction.retry"
]

/** The unit tests that take longest, or are about tools: left out where it is to be quick. */
export const spared: ReadonlyArray<string> = [
  "bench.*",
  "conformance.*",
  "ChangeStream.test.ts",
  "SessionCommands.test.ts"
]
