/**
 * The tests that are known to fail: for what no library on top of the driver can put right, or because this library refuses
 * earlier, and with a type, what the server would refuse. Each run runs them by the raw driver, too.
 *
 * A waived test that passes makes the run fail, and so does one that the raw driver does something else with than is told
 * here, so that this list never says more than is so.
 */

import type { Version } from "./driver.js"

export interface Waiver {
  /** The name of the file. */
  readonly file: string
  readonly test: string
  /** A part of what the run says of the failure. One that says something else is not waived. */
  readonly failure: string
  /** Why it fails. */
  readonly reason: string
  /**
   * A part of what comes of the test by the raw driver: why it fails, or `passed`. Absent where that is not run: with
   * versions of the driver that the library corrects less of; there the reason tells it.
   */
  readonly raw: string | undefined
  /** The version of the driver that it holds for. Default: all of them. */
  readonly driver?: Version
}

/** The waivers that hold with a version of the driver. */
export const waiversOn = (version: Version): ReadonlyArray<Waiver> =>
  waivers.filter(({ driver = version }) => driver === version)

const old = (file: string, failure: string, reason: string, tests: ReadonlyArray<string>): ReadonlyArray<Waiver> =>
  tests.map((test) => ({ file, test, failure, reason, raw: undefined, driver: "6" }))

const oldWrites = (file: string, tests: ReadonlyArray<string>): ReadonlyArray<Waiver> =>
  old(
    file,
    "readConcern: expected a document, found nothing",
    "the raw driver 6.13 sends no afterClusterTime with a write, which the specification asks for since 2026",
    tests
  )

const oldRetries = (file: string, failure: string, tests: ReadonlyArray<string>): ReadonlyArray<Waiver> =>
  old(
    file,
    failure,
    "the raw driver 6.13 sends a command once that the server has refused with the labels RetryableError and " +
      "SystemOverloadedError; to send it again is in the specification since 2026",
    tests
  )

const writes = [
  "insertOne",
  "insertMany",
  "updateOne",
  "updateMany",
  "replaceOne",
  "deleteOne",
  "deleteMany",
  "findOneAndUpdate",
  "findOneAndDelete",
  "findOneAndReplace",
  "bulkWrite",
  "create",
  "createIndexes",
  "drop",
  "dropDatabase",
  "dropIndexes"
]

const killed = "this library kills the session of what it has given up, with the cursor, and so sends no killCursors"

const untold = "the driver tells nobody the round-trip time of the server that it has selected"

const quick = "the server is made to take 60 ms, and the time limit is 100 ms"

const waivers: ReadonlyArray<Waiver> = [
  {
    file: "close-cursors.json",
    test: "timeoutMS is refreshed for close",
    failure: "event 5 of client",
    reason: killed,
    raw: "cursor.iterateUntilDocumentOrError: expected a failure"
  },
  {
    file: "change-streams.json",
    test: "change stream can be iterated again if previous iteration times out",
    failure: "event 3 of client: killSessions",
    reason: killed,
    raw: "waits for longer than 5 seconds"
  },
  {
    file: "command-execution.json",
    test: "maxTimeMS value in the command is less than timeoutMS",
    failure: "expected at most",
    reason: untold,
    raw: "event 2 of client: insert command: maxTimeMS: expected at most {\"$numberInt\":\"450\"}, found nothing"
  },
  {
    file: "command-execution.json",
    test: "command is not sent if RTT is greater than timeoutMS",
    failure: "timeoutCollection.insertOne: expected a failure",
    reason: untold,
    raw: "timeoutCollection.insertOne: expected a failure"
  },
  {
    file: "runCursorCommand.json",
    test: "Non-tailable cursor iteration timeoutMS is refreshed for getMore if timeoutMode is iteration - failure",
    failure: "expected a failure",
    reason: quick,
    raw: "db.runCursorCommand: expected a failure"
  },
  {
    file: "runCursorCommand.json",
    test: "Tailable cursor iteration timeoutMS is refreshed for getMore - failure",
    failure: "expected a failure",
    reason: quick,
    raw: "tailableCursor.iterateUntilDocumentOrError: expected a failure"
  },
  {
    file: "runCursorCommand.json",
    test: "Tailable cursor awaitData iteration timeoutMS is refreshed for getMore - failure",
    failure: "expected a failure",
    reason: "the test sets no time limit at all",
    raw: "tailableCursor.iterateUntilDocumentOrError: expected a failure"
  },
  ...["find", "aggregate", "distinct"].map((operation): Waiver => ({
    file: "snapshot-sessions-not-supported-server-error.json",
    test: `Server returns an error on ${operation} with snapshot`,
    failure: "snapshot reads require MongoDB 5.0 or later, and no standalone server",
    reason: "a standalone server refuses a snapshot read; this library refuses to open the session, with " +
      "SessionsUnsupported, before anything is sent",
    raw: "passed"
  })),
  ...oldWrites(
    "causal-consistency-write-commands.json",
    writes.map((write) => `${write} includes afterClusterTime in causally consistent session`)
  ),
  ...oldWrites("causal-consistency-clientBulkWrite.json", [
    "clientBulkWrite includes afterClusterTime in causally consistent session"
  ]),
  ...oldWrites("commit.json", ["reset session state commit", "reset session state abort"]),
  ...oldWrites("retryable-writes.json", ["increment txnNumber"]),
  ...oldWrites("callback-aborts.json", ["withTransaction still succeeds if callback aborts and runs extra op"]),
  ...oldWrites("callback-commits.json", ["withTransaction still succeeds if callback commits and runs extra op"]),
  ...oldRetries("backpressure-retryable-abort.json", "expected commandStartedEvent abortTransaction, found no more", [
    "abortTransaction retries if backpressure labels are added",
    "abortTransaction is retried maxAttempts=2 times if backpressure labels are added"
  ]),
  ...oldRetries("backpressure-retryable-reads.json", "(Overloaded, code 112", [
    "reads are retried if backpressure labels are added"
  ]),
  ...oldRetries("backpressure-retryable-reads.json", "expected \"find\", found \"abortTransaction\"", [
    "reads are retried maxAttempts=2 times if backpressure labels are added"
  ]),
  ...oldRetries("backpressure-retryable-writes.json", "(Overloaded, code 112", [
    "writes are retried if backpressure labels are added",
    "retry succeeds if backpressure labels are added to the first operation in a transaction"
  ]),
  ...oldRetries("backpressure-retryable-writes.json", "expected \"insert\", found \"abortTransaction\"", [
    "writes are retried maxAttempts=2 times if backpressure labels are added"
  ])
]
