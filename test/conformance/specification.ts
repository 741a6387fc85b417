/**
 * What MongoDB's specifications ask of sessions and transactions, who meets it, and what shows that.
 *
 * `npm run docs:check` holds docs/specification.md and the names of the tests to it.
 */

/** A test of this project, by the file below `test` and a name in it, or a file of MongoDB's own tests. */
export type Evidence =
  | { readonly file: string; readonly test: string }
  | { readonly conformance: string }

/** Something that a specification asks for. */
export interface Point {
  /** What is asked for, in our words. */
  readonly asks: string
  readonly met: "driver" | "library" | "nobody"
  /** How the library goes about it, or why nobody does. */
  readonly note?: string
  readonly shownBy: ReadonlyArray<Evidence>
}

/** The points of one specification. */
export interface Section {
  readonly title: string
  readonly points: ReadonlyArray<Point>
}

const integration = (name: string, test: string): Evidence => ({ file: `integration/${name}.test.ts`, test })
const unit = (name: string, test: string): Evidence => ({ file: `unit/${name}.test.ts`, test })
const conformance = (file: string): Evidence => ({ conformance: `${file}.json` })

const driver = (asks: string, ...shownBy: ReadonlyArray<Evidence>): Point => ({ asks, met: "driver", shownBy })
const library = (asks: string, note: string, ...shownBy: ReadonlyArray<Evidence>): Point => ({
  asks,
  met: "library",
  note,
  shownBy
})
const nobody = (asks: string, note: string, ...shownBy: ReadonlyArray<Evidence>): Point => ({
  asks,
  met: "nobody",
  note,
  shownBy
})

/** All points, in the order of the specifications. */
export const sections: ReadonlyArray<Section> = [
  {
    title: "Driver Sessions",
    points: [
      library(
        "The options of a session do not change once it is open, and can be read",
        "`options` of a session are those that it was opened with, decoded; the driver has no such property",
        unit("SessionOptions", "decode to themselves once decoded"),
        unit("SessionOptions", "can be used as options again")
      ),
      driver(
        "A session can be opened without options, and opening it sends nothing",
        integration("Session.acquire", "sends nothing: sessions begin with their first operation")
      ),
      library(
        "A deployment without sessions is told from one with them",
        "opening fails with `SessionsUnsupported`; the driver fails at the first use",
        integration(
          "Session.acquire",
          "fails with SessionsUnsupported where a server tells no session timeout, and sends nothing"
        ),
        conformance("driver-sessions-server-support")
      ),
      library(
        "Invalid options are refused",
        "all that is wrong is told at once, before any IO; the driver ignores what it does not know",
        integration("Session.acquire", "fails before the client is even looked at, and lists everything that is wrong")
      ),
      library(
        "Ending a session twice is harmless, and what uses it afterwards is an error",
        "`SessionEnded`, of whatever kind the use is; an ended session of the driver still starts transactions",
        integration("Session.closing", "is done once, however often it is asked for"),
        integration("Driver.faults.sessions", "is neither started nor run by this library"),
        integration("Session.closing", "refuses uses after it, of whatever kind, and sends nothing for them")
      ),
      library(
        "A session that ends aborts its transaction",
        "within a bounded time; the driver waits for the abort without a limit",
        integration(
          "Transaction.manual",
          "a session that is released with a transaction open aborts it, and runs what was put off"
        ),
        integration(
          "Session.settle",
          "holds the closing scopes of session and client for a bounded time, and leaves no socket"
        )
      ),
      library(
        "A session of one client is refused by another",
        "before any IO, as `ForeignSession`",
        integration("ForeignSession", "as the ambient session of an operation on another client, before any IO")
      ),
      library(
        "The estimated count of documents takes no session",
        "it is refused in one; the driver sends it with the session that it is given",
        integration("Driver.faults.sessions", "is refused by this library in a session, and sent without one")
      ),
      library(
        "A server session is not handed out again with less than a minute to live",
        "the driver's own check takes 61 idle minutes for one",
        integration("Driver.faults.sessions", "is not used by this library after … minutes"),
        integration(
          "Session.pool",
          "is never handed out, however implicit operations, keep-alive and other sessions come between"
        )
      ),
      driver(
        "The server session given back last is handed out first",
        integration("Specification.sessions", "lends the one first that was given back last")
      ),
      driver(
        "A session whose connection broke goes on, and its server session is not pooled",
        integration("Session.values", "is dirty, goes on, and leaves nothing to the pool")
      ),
      driver(
        "An operation without a session gets one for itself alone, which is not causally consistent",
        integration(
          "Specification.sessions",
          "lends one to operations without a session only for as long as they have a connection"
        ),
        conformance("implicit-sessions-default-causal-consistency")
      ),
      driver(
        "Closing the client ends all server sessions that it has, in the deployment",
        integration(
          "Specification.sessions",
          "is emptied at the client's end: all ids that it has are ended on the server, each once"
        )
      ),
      nobody(
        "At most 10,000 sessions are ended by one command when the client closes",
        "the driver sends them in one, which cannot be split from outside; `SessionCommands`, which has its own, does split",
        integration("SessionCommands", "25,001 ids are taken in three commands")
      ),
      library(
        "A session is used for one operation at a time",
        "operations queue, or fail with `SessionBusy`; the driver leaves it to the caller",
        integration("Session.laws", "200 operations started at once are sent in the order of their arrival"),
        integration(
          "Session.laws",
          "with onBusy \"fail\" a second operation fails at once, names the first, and sends nothing"
        )
      ),
      library(
        "An unacknowledged write has no session",
        "it is refused in one before anything is sent",
        integration(
          "Session.acquire",
          "an operation with w: 0 of its own fails in the session before anything is sent"
        ),
        integration(
          "Collection.misuse",
          "an unacknowledged write in a session, wherever w: 0 is set; reads do not mind"
        )
      ),
      driver(
        "All commands of a cursor are in one session",
        integration("Specification.sessions", "that opened a cursor … is that of its getMore"),
        integration("Specification.sessions", "that opened a cursor … is that of its killCursors")
      ),
      library(
        "A cursor does not outlive its session",
        "open ones are closed before the server session is given back",
        integration(
          "Session.closing",
          "closes the cursors that were left open in it, before its server session is pooled"
        )
      ),
      driver(
        "Commands that are given as they are run in the session, and what was given is not changed",
        conformance("runCommand"),
        conformance("runCursorCommand")
      )
    ]
  },
  {
    title: "Causal Consistency",
    points: [
      driver(
        "A session knows the times of the replies that it had",
        integration(
          "Session.values",
          "its times are those of the replies that it had, and its id is the one that the server sees"
        )
      ),
      driver(
        "Advancing a session to times that another had never sets it back",
        integration("Session.causal", "never goes back, whatever the order of the tokens")
      ),
      library(
        "A session keeps the operation time also if it is not causally consistent",
        "the driver does not",
        integration("Driver.faults.reads", "is kept by this library, and not asked for: …"),
        integration(
          "Specification.causal",
          "3: any reply tells the time, one with an error as well, causal consistency …: …"
        )
      ),
      driver(
        "The first read asks for no time, nor does one where the deployment has none",
        integration("Specification.causal", "2: the first read asks for no time: …"),
        integration("Specification.causal", "7: a read asks for no time on a deployment that has none")
      ),
      driver(
        "A session without causal consistency asks for no time",
        integration("Specification.causal", "6: a read in a session without causal consistency asks for no time")
      ),
      driver(
        "The time goes with the level of a read concern, and alone where there is none",
        integration(
          "Specification.causal",
          "8: where no read concern is set, a read asks for the time and for no level"
        ),
        integration("Specification.causal", "9: where a read concern is set, a read asks for its level and the time")
      ),
      library(
        "An unacknowledged write does not change what a session knows",
        "it is refused in a session",
        integration(
          "Specification.causal",
          "10: an unacknowledged write leaves the operation time as it is: it is refused"
        )
      ),
      driver(
        "The latest cluster time goes with each command, and that of a session with its own alone",
        integration(
          "Specification.sessions",
          "that the last reply told goes with the next command, whatever its session: …"
        ),
        integration(
          "Specification.sessions",
          "of a session that was told a later one goes with its commands, and not with those of others"
        )
      ),
      driver(
        "What follows a first operation is read, and written, after the time of that",
        integration("Specification.causal", "4: a read after a read asks for the time of that: …"),
        integration(
          "Specification.causal",
          "5: a read after a write asks for the time of that, be it done or not: …, …"
        ),
        conformance("causal-consistency-write-commands"),
        conformance("causal-consistency-clientBulkWrite")
      ),
      library(
        "The time is asked for by the session alone",
        "each operation has a read concern of its own, for the driver writes the time into that of the client",
        integration("Driver.faults.reads", "this library does not, if the … has the read concern"),
        integration("Driver.faults.reads", "this library does not, …, where the transaction begins with that time")
      ),
      library(
        "A read concern that knows no causal order is not mixed with it",
        "refused before anything is sent",
        integration(
          "Collection.readConcern",
          "is refused in a causally consistent session before anything is sent, wherever it is set"
        )
      )
    ]
  },
  {
    title: "Snapshot Reads",
    points: [
      driver(
        "Snapshot and causal consistency exclude each other, and a snapshot session has no transactions",
        integration("Transaction.composition", "cannot be a snapshot session, be it the ambient one or opened for it"),
        conformance("snapshot-sessions-unsupported-ops")
      ),
      driver(
        "All reads of a snapshot session are of the time of its first one",
        integration("Session.causal", "reads all that follows as of its first read"),
        conformance("snapshot-sessions")
      ),
      library(
        "All its commands have the read concern of the snapshot, so that the server refuses those that cannot",
        "also where client, database or collection have one, which the driver sends instead",
        integration("Driver.faults.reads", "this library does, if the … has the read concern"),
        integration(
          "Specification.snapshot",
          "sends its read concern with writes, too, so that the server refuses them"
        )
      ),
      library(
        "The time of the snapshot can be given, and read",
        "the driver has no such option",
        integration("Driver.faults.reads", "is what a session of this library reads as of"),
        integration("Driver.faults.reads", "is refused by this library for a session that reads no snapshot"),
        conformance("snapshot-sessions")
      ),
      library(
        "A server without snapshot reads is refused",
        "when the session is opened; the driver fails at the first read",
        integration("Session.acquire", "opening a snapshot session")
      )
    ]
  },
  {
    title: "Transactions",
    points: [
      driver(
        "Starting, committing and aborting are allowed in some states only, and change them as laid down",
        integration("Transaction.manual.states", "the state machine of the specification"),
        conformance("abort"),
        conformance("commit")
      ),
      driver(
        "A transaction without operations sends nothing",
        integration(
          "Transaction.manual.states",
          "an empty transaction sends nothing at all, be it committed or aborted"
        )
      ),
      driver(
        "All commands have the transaction's number, and the first one its beginning",
        integration(
          "Transaction.outcome",
          "is committed, in one session, under one transaction number, with one beginning"
        ),
        conformance("insert"),
        conformance("update"),
        conformance("delete"),
        conformance("bulk")
      ),
      driver(
        "Options that a transaction leaves out come from the session, and then from the client",
        integration("Transaction.options", "comes from the session's default transaction options, field by field"),
        integration("Transaction.options", "comes from the client after that"),
        conformance("transaction-options-repl")
      ),
      driver(
        "The read concern goes with the first command alone, and is not that of a collection",
        integration(
          "Transaction.options",
          "the read concern goes with the first command, the write concern and the time limit with the commit"
        ),
        conformance("read-concern")
      ),
      library(
        "Commit and abort have the write concern as it was given",
        "the driver adds a `wtimeout` of 10 seconds to it, which the library keeps out until a commit is repeated",
        integration("Driver.faults.transactions", "is sent by this library as it was given: …"),
        conformance("write-concern")
      ),
      library(
        "Concerns of a single operation in a transaction are refused",
        "before anything is sent; the driver drops them without a word",
        integration("Driver.faults.transactions", "is refused by this library before anything is sent"),
        integration("Collection.misuse", "concerns of an operation in a transaction, and reads from secondaries"),
        conformance("client-bulkWrite")
      ),
      driver(
        "A transaction cannot be unacknowledged",
        conformance("errors-client")
      ),
      driver(
        "Reads of a transaction go to the primary",
        integration(
          "Transaction.options",
          "a read with another read preference is refused by the driver; writes go to the primary as ever"
        ),
        conformance("read-pref")
      ),
      driver(
        "The time limit of the commit is sent with the commit alone",
        integration(
          "Transaction.commit",
          "carries its own time limit and write concern, which no operation of the body does"
        )
      ),
      driver(
        "Nothing in a transaction is retried by itself",
        conformance("do-not-retry-read-in-transaction"),
        conformance("retryable-writes")
      ),
      driver(
        "Commit and abort are sent again once after a failure that may go away",
        integration(
          "Transaction.commit",
          "because the connection is closed is sent again, with majority: committed once"
        ),
        conformance("retryable-commit"),
        conformance("retryable-commit-errorLabels"),
        conformance("retryable-abort-errorLabels")
      ),
      driver(
        "A failed abort is no failure of the transaction",
        integration(
          "Transaction.outcome",
          "with an error of its own is rolled back, though the abort was lost with its connection"
        )
      ),
      driver(
        "Failures of the network are told to be transient by a label",
        conformance("error-labels-errorLabels"),
        conformance("error-labels-blockConnection")
      ),
      library(
        "So are those of finding a server and of the pool",
        "the driver puts no label on them; the library goes by the reason",
        integration(
          "Transaction.retry",
          "when no server was found for an operation"
        ),
        unit("transient", "knows the driver's error of a failed selection, which carries no label")
      ),
      library(
        "A commit whose result is not known is told from one that failed",
        "also without the label, which the driver leaves out where it finds no server",
        unit(
          "transient",
          "it is unknown whether it happened when the answer was lost or not understood, or nothing was sent this time"
        )
      ),
      driver(
        "A server that is overloaded is asked again, later and later",
        conformance("backpressure-retryable-abort"),
        conformance("backpressure-retryable-reads"),
        conformance("backpressure-retryable-writes")
      ),
      nobody(
        "In a sharded cluster a transaction stays with one router",
        "the driver does it, and the library leaves it to that; the tests that show it need a sharded cluster"
      )
    ]
  },
  {
    title: "Convenient API for Transactions",
    points: [
      driver(
        "The result of the callback is that of the whole, committed or aborted by itself",
        conformance("callback-commits"),
        conformance("callback-aborts"),
        integration("Transaction.manual.bodies", "keeps its result; nothing is committed, and onRollback runs")
      ),
      library(
        "The failure of the callback is passed on",
        "also after the callback has committed, where the driver masks it",
        integration("Driver.faults.transactions", "is what the run fails with in this library: …")
      ),
      library(
        "The whole is run again for a transient failure",
        "also when the program has wrapped it in an error of its own, at which the driver gives up",
        integration(
          "Transaction.retry",
          "when a domain error wraps it"
        ),
        conformance("commit-transienttransactionerror-4.2")
      ),
      library(
        "Between two runs it waits for a random time, up to 500 ms",
        "by Effect's clock and random numbers, so that tests need not wait; with a schedule of the user's instead",
        integration(
          "Specification.convenient",
          "which is 2.28 seconds in all where it is the whole, for 13 attempts more"
        ),
        unit("backoff", "before the run n, counted from 0, is 5 ms · 1.5ⁿ, and 500 ms at most")
      ),
      library(
        "A commit of unknown result is sent again until the time is up, unless its own time was up",
        "with the waits of the specification; the result is `CommitUnknown` then, or what `verifyCommit` finds",
        integration(
          "Transaction.commit.unknown",
          "is sent again until the time is out; the waits grow as the specification says; no hook runs"
        ),
        conformance("commit-retry"),
        conformance("commit-retry-errorLabels")
      ),
      library(
        "After 120 seconds it gives up, with an error that has the last failure and its labels",
        "`TransactionAborted` has it as `last`; the driver throws the last failure",
        integration(
          "Driver.faults.transactions",
          "fails in this library with the time and the attempts, the last failure, and its labels"
        ),
        integration("Specification.convenient", "after 120 seconds nothing is tried again")
      ),
      driver(
        "The options of the transaction go to each run of it",
        conformance("transaction-options"),
        integration("Transaction.options", "every attempt starts with them")
      )
    ]
  },
  {
    title: "Client Side Operations Timeout",
    points: [
      library(
        "A time limit bounds an operation, wherever the time goes",
        "`timeout` of client, session or transaction; the driver's `timeoutMS` does nothing since 7.8 and 6.22",
        integration("Timeout", "an operation that takes longer than its timeout"),
        conformance("sessions-inherit-timeoutMS"),
        conformance("sessions-override-timeoutMS")
      ),
      library(
        "The limit of a transaction is that of all its operations together, and none of these has one of its own",
        "and of its attempts and commits; unset, there are 120 seconds to retry in",
        integration("Timeout", "is that of all its operations together, and the abort has it once more"),
        integration("Timeout", "of an operation in it is refused before it is sent"),
        conformance("convenient-transactions"),
        conformance("sessions-override-operation-timeoutMS")
      ),
      library(
        "The server is told what time is left, and the write concern of the commit has no limit then",
        "as `maxTimeMS`, where the command may have one",
        integration("Timeout", "is told to the commit, whose write concern has no time limit then")
      ),
      library(
        "When the time is up, the error tells what has failed before, with its labels",
        "as its cause",
        integration("Timeout", "keeps what the attempt before the last has failed for, with its labels")
      )
    ]
  }
]
