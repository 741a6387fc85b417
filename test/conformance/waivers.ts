/**
 * The tests that are known to fail for what no library on top of the driver can put right.
 *
 * Each was seen to fail on the raw driver alike, for the reason that is told. A waived test that passes makes the run
 * fail, so that this list never says more than is so.
 */

import type { Version } from "./driver.js"

/** Whose fault it is: the server's, that of a deployment of one node, or the driver's. */
export type Whose = "server" | "topology" | "driver"

export interface Waiver {
  /** The name of the file. */
  readonly file: string
  readonly test: string
  readonly whose: Whose
  /** A part of what the run says of the failure. One that says something else is not waived. */
  readonly failure: string
  /** What the raw driver was seen to do. */
  readonly reason: string
  /** The version of the driver that it holds for. Default: all of them. */
  readonly driver?: Version
}

const secantus = /^SecantusDB/

/** The waivers that hold on a server, with a version of the driver. What is the fault of one server, no other has. */
export const waiversOn = (server: string, version: Version): ReadonlyArray<Waiver> =>
  waivers.filter(({ driver = version, whose }) => driver === version && (whose !== "server" || secantus.test(server)))

const snapshot = (test: string, failure: string, seen: string): Waiver => ({
  file: "snapshot-sessions.json",
  test,
  whose: "server",
  failure: `result of collection0.${failure}`,
  reason:
    `the server does not read at atClusterTime outside of transactions; sent by the raw driver with the time of the ` +
    `first read, ${seen}`
})

const old = (file: string, failure: string, reason: string, tests: ReadonlyArray<string>): ReadonlyArray<Waiver> =>
  tests.map((test) => ({ file, test, whose: "driver", failure, reason, driver: "6" }))

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

const waivers: ReadonlyArray<Waiver> = [
  {
    file: "causal-consistency-clientBulkWrite.json",
    test: "clientBulkWrite includes afterClusterTime in causally consistent session",
    whose: "server",
    failure: "code 40415",
    reason:
      "the raw driver sends bulkWrite with readConcern { afterClusterTime } as the specification asks, and the server " +
      "refuses it: 40415, BSON field 'bulkWrite.readConcern' is an unknown field"
  },
  snapshot("Find operation with snapshot", "find", "find gives x: 13 of a later update, not 11"),
  snapshot("Distinct operation with snapshot", "distinct", "distinct gives 13 of a later update, not 11 alone"),
  snapshot("Aggregate operation with snapshot", "aggregate", "aggregate gives x: 13 of a later update, not 11"),
  snapshot("Mixed operation with snapshot", "aggregate", "aggregate gives x: 12 of a later update, not 11"),
  snapshot(
    "Write commands with snapshot session do not affect snapshot reads",
    "find",
    "find gives x: 12 of a later update, not 11"
  ),
  snapshot(
    "Find operation with snapshot and snapshot time",
    "find",
    "find gives 3 documents, one inserted later, not 2"
  ),
  snapshot(
    "Distinct operation with snapshot and snapshot time",
    "distinct",
    "distinct gives 33 of a later insert, not 11 alone"
  ),
  snapshot(
    "Aggregate operation with snapshot and snapshot time",
    "aggregate",
    "aggregate gives x: 12 of a later update, not 11"
  ),
  snapshot(
    "countDocuments operation with snapshot and snapshot time",
    "countDocuments",
    "aggregate counts 3 documents, one inserted later, not 2"
  ),
  snapshot(
    "Mixed operation with snapshot and snapshotTime",
    "aggregate",
    "aggregate gives x: 12 of a later update, not 11"
  ),
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
