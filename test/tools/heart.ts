/** The integration tests that find important faults in the shortest time. */
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

/** The unit tests that a quick run leaves out: the slow ones, and those of tools. */
export const spared: ReadonlyArray<string> = [
  "bench.*",
  "conformance.*",
  "ChangeStream.test.ts",
  "SessionCommands.*"
]
