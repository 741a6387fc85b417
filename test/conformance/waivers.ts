/**
 * The tests that are known to fail for what no library on top of the driver can put right.
 *
 * Each was seen to fail on the raw driver alike, for the reason that is told. A waived test that passes makes the run
 * fail, so that this list never says more than is so.
 */

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
}

const secantus = /^SecantusDB/

/** The waivers that hold on a server. What is the fault of one server, no other has. */
export const waiversOn = (server: string): ReadonlyArray<Waiver> =>
  waivers.filter(({ whose }) => whose !== "server" || secantus.test(server))

const snapshot = (test: string, failure: string, seen: string): Waiver => ({
  file: "snapshot-sessions.json",
  test,
  whose: "server",
  failure: `result of collection0.${failure}`,
  reason:
    `the server does not read at atClusterTime outside of transactions; sent by the raw driver with the time of the ` +
    `first read, ${seen}`
})

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
  )
]
