import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as FastCheck from "effect/FastCheck"
import * as FiberId from "effect/FiberId"
import * as Driver from "mongodb"
import { toMongoError } from "../../src/internal/driver/errors.js"
import * as Transient from "../../src/internal/transaction/transient.js"
import { Label, MongoError, type Reason } from "../../src/MongoError.js"
import { CommitUnknown, TransactionAborted, TransactionDoomed } from "../../src/TransactionErrors.js"

const { TransientTransactionError, UnknownTransactionCommitResult } = Label
const otherLabels = Object.values(Label).filter((label) =>
  label !== TransientTransactionError && label !== UnknownTransactionCommitResult
)

const mongoError = (reason: Reason, fields: { code?: number; labels?: ReadonlyArray<string>; cause?: unknown } = {}) =>
  new MongoError({ reason, operation: "update", labels: [], ...fields })

const conflict = mongoError("WriteConflict", { code: 112, labels: [TransientTransactionError] })
const duplicate = mongoError("DuplicateKey", { code: 11_000 })

/** A failure of the program's own, which says what it comes from. */
class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly cause: unknown }> {}
class CheckoutFailed extends Data.TaggedError("CheckoutFailed")<{ readonly cause: unknown }> {}

const wrapped = (cause: unknown, times: number): unknown =>
  Array.from({ length: times }).reduce<unknown>((inner) => new CheckoutFailed({ cause: inner }), cause)

const driverError = (code: number, labels: ReadonlyArray<string> = []) =>
  new Driver.MongoServerError({ message: "no", code, errorLabels: [...labels] })

/** The reply to a commit that was executed, and whose write concern then failed. */
const writeConcernReply = (code: number) =>
  new Driver.MongoWriteConcernError({ ok: 1, writeConcernError: { code, errmsg: "no" } })

const asMongoError = (error: Error) => toMongoError({ operation: "commitTransaction" }, error)

const allReasons: ReadonlyArray<Reason> = [
  "AuthenticationFailed",
  "Unauthorized",
  "DuplicateKey",
  "WriteConflict",
  "NetworkError",
  "ServerSelectionFailed",
  "PoolFailure",
  "ConnectionClosed",
  "NotPrimary",
  "Overloaded",
  "TimedOut",
  "Interrupted",
  "WriteConcernFailed",
  "SnapshotUnavailable",
  "NoSuchTransaction",
  "TransactionCommitted",
  "NotSupported",
  "InvalidUrl",
  "InvalidOptions",
  "InvalidArgument",
  "TransactionMisuse",
  "SessionExpired",
  "EncodingFailed",
  "UnexpectedReply",
  "Other"
]

describe("isTransient", () => {
  const unlabelled: ReadonlyArray<Reason> = ["ServerSelectionFailed", "PoolFailure"]

  it("goes by the label, whatever the reason", () => {
    for (const reason of allReasons) {
      expect(Transient.isTransient(mongoError(reason, { labels: ["Odd", TransientTransactionError] }))).toBe(true)
    }
  })

  it("without the label, only failures that come before anything is sent are transient", () => {
    const transient = allReasons.filter((reason) => Transient.isTransient(mongoError(reason)))
    expect(transient).toEqual(unlabelled)
  })

  it("no other label makes a failure transient, though it may be retryable outside of a transaction", () => {
    const labels = [...otherLabels, UnknownTransactionCommitResult]
    expect(Transient.isTransient(mongoError("WriteConflict", { code: 112, labels }))).toBe(false)
  })
})

describe("transientOf", () => {
  const of = (failure: unknown) => Transient.transientOf(Cause.fail(failure))

  it.each<readonly [string, unknown]>([
    ["a failure that stays", duplicate],
    ["a failure of the program", new OutOfStock({ cause: undefined })],
    ["a failure of the program that wraps one that stays", new OutOfStock({ cause: duplicate })],
    ["an error without a label that wraps nothing", new Error("no")],
    ["a text", "TransientTransactionError"],
    ["null", null],
    ["undefined", undefined],
    ["an error of another library that has the label in its message", new Error(TransientTransactionError)],
    ["an error of another library that has the field errorLabels", { errorLabels: [TransientTransactionError] }]
  ])("finds nothing in %s", (_, failure) => {
    expect(of(failure)).toBeUndefined()
  })

  it("finds a transient failure as it is", () => {
    expect(of(conflict)).toBe(conflict)
  })

  it.each([1, 2, 3, 8])("finds a transient failure that the program has wrapped %d times", (times) => {
    expect(of(wrapped(conflict, times))).toBe(conflict)
  })

  it("finds a transient failure wrapped in an error of the language, and in a plain object", () => {
    expect(of(new Error("checkout failed", { cause: conflict }))).toBe(conflict)
    expect(of({ cause: { cause: conflict } })).toBe(conflict)
  })

  it("finds a transient failure behind a failure that stays", () => {
    expect(of(mongoError("Other", { cause: conflict }))).toBe(conflict)
  })

  it("knows a driver's own error by its label, also where the program has wrapped it", () => {
    const raw = driverError(112, [TransientTransactionError])
    for (
      const failure of [raw, new OutOfStock({ cause: raw }), new Error("no", { cause: new Error("", { cause: raw }) })]
    ) {
      expect(of(failure)).toMatchObject({ _tag: "MongoError", reason: "WriteConflict", code: 112 })
      expect(of(failure)?.cause).toBe(raw)
    }
    expect(of(driverError(112))).toBeUndefined()
  })

  it("knows the driver's error of a failed selection, which carries no label", () => {
    const selection = new Driver.MongoServerSelectionError("no", {} as Driver.TopologyDescription)
    expect(selection.errorLabels).toEqual([])
    expect(of(new OutOfStock({ cause: selection }))).toMatchObject({ reason: "ServerSelectionFailed" })
  })

  it("comes to an end in an error that is its own cause", () => {
    const itself = new Error("round")
    itself.cause = itself
    const one: { cause?: unknown } = {}
    const other = { cause: one }
    one.cause = other
    expect(of(itself)).toBeUndefined()
    expect(of(one)).toBeUndefined()
  })

  it.each<readonly [string, object]>([
    ["was given up", new TransactionAborted({ attempts: 9, elapsed: Duration.seconds(120), last: conflict })],
    ["may have been committed", new CommitUnknown({ attempts: 1, elapsed: Duration.seconds(1), last: conflict })]
  ])("does not look into another transaction that %s, for that was run again already", (_, outcome) => {
    expect(of(outcome)).toBeUndefined()
    expect(of(wrapped(outcome, 2))).toBeUndefined()
  })

  it("looks into another transaction that was doomed, for that was not run again", () => {
    expect(of(new TransactionDoomed({ first: new OutOfStock({ cause: conflict }) }))).toBe(conflict)
  })

  it("does not take a defect for a failure, nor an interruption", () => {
    expect(Transient.transientOf(Cause.die(conflict))).toBeUndefined()
    expect(Transient.transientOf(Cause.sequential(Cause.die(conflict), Cause.fail(duplicate)))).toBeUndefined()
    expect(Transient.transientOf(Cause.interrupt(FiberId.none))).toBeUndefined()
    expect(Transient.transientOf(Cause.empty)).toBeUndefined()
  })

  it("of several failures at once, finds the first that is transient", () => {
    const other = mongoError("PoolFailure")
    expect(Transient.transientOf(Cause.parallel(Cause.fail(conflict), Cause.fail(other)))).toBe(conflict)
    expect(Transient.transientOf(Cause.parallel(Cause.fail(other), Cause.fail(conflict)))).toBe(other)
    expect(Transient.transientOf(Cause.sequential(Cause.fail(duplicate), Cause.fail(wrapped(conflict, 1))))).toBe(
      conflict
    )
  })

  it("finds a transient failure wherever in a cause it is", () => {
    type Leaf = "stays" | "conflict" | "wrapped" | "bug" | "interrupt" | "given up"
    const causes = {
      stays: Cause.fail<unknown>(duplicate),
      conflict: Cause.fail<unknown>(conflict),
      wrapped: Cause.fail(wrapped(conflict, 2)),
      bug: Cause.die(conflict),
      interrupt: Cause.interrupt(FiberId.none),
      "given up": Cause.fail<unknown>(
        new TransactionAborted({ attempts: 9, elapsed: Duration.seconds(120), last: conflict })
      )
    }
    const leaf = FastCheck.constantFrom(...(Object.keys(causes) as Array<Leaf>))
    FastCheck.assert(FastCheck.property(
      FastCheck.array(FastCheck.tuple(leaf, FastCheck.boolean()), { maxLength: 8 }),
      (parts) => {
        const cause = parts.reduce<Cause.Cause<unknown>>(
          (whole, [name, parallel]) =>
            parallel ? Cause.parallel(whole, causes[name]) : Cause.sequential(causes[name], whole),
          Cause.empty
        )
        const isThere = parts.some(([name]) => name === "conflict" || name === "wrapped")
        expect(Transient.transientOf(cause)).toBe(isThere ? conflict : undefined)
      }
    ))
  })
})

describe("isOfServer", () => {
  const clientSide: ReadonlyArray<Reason> = [
    "InvalidOptions",
    "InvalidArgument",
    "TransactionMisuse",
    "SessionExpired",
    "EncodingFailed"
  ]

  it("what the driver refuses by itself does not come from the server", () => {
    const ofServer = allReasons.filter((reason) => Transient.isOfServer(mongoError(reason)))
    expect(ofServer).toEqual(allReasons.filter((reason) => !clientSide.includes(reason)))
  })

  it("what has a server's code comes from the server, whatever the reason", () => {
    expect(allReasons.filter((reason) => !Transient.isOfServer(mongoError(reason, { code: 72 })))).toEqual([])
  })

  it("what is no MongoError does not come from the server", () => {
    const others = [new Error("no"), "no", undefined, null, driverError(112), new OutOfStock({ cause: conflict })]
    expect(others.filter(Transient.isOfServer)).toEqual([])
  })
})

describe("after a failed commit", () => {
  const again: ReadonlyArray<Reason> = ["NetworkError", "ServerSelectionFailed", "PoolFailure"]
  const final: ReadonlyArray<Reason> = ["ConnectionClosed", "EncodingFailed", "UnexpectedReply", "Other"]

  it("it is unknown whether it happened when the answer was lost or not understood, or nothing was sent this time", () => {
    const unknown = allReasons.filter((reason) => Transient.isCommitUnknown(mongoError(reason)))
    expect(new Set(unknown)).toEqual(new Set([...again, ...final]))
  })

  it("another commit would not be answered either when the client is closed, or the answer was not understood", () => {
    expect(new Set(allReasons.filter((reason) => Transient.isUnanswerable(mongoError(reason))))).toEqual(new Set(final))
  })

  it("what the server refuses is answered, whatever it is called", () => {
    expect(final.filter((reason) => Transient.isCommitUnknown(mongoError(reason, { code: 13 })))).toEqual([])
  })

  it("what the server labels as not committed is answered, also without a code", () => {
    const labels = [TransientTransactionError]
    expect(final.filter((reason) => Transient.isCommitUnknown(mongoError(reason, { labels })))).toEqual([])
  })

  it("it is unknown whether it happened when the label says so, whatever the reason", () => {
    const labels = [TransientTransactionError, UnknownTransactionCommitResult]
    expect(allReasons.filter((reason) => !Transient.isCommitUnknown(mongoError(reason, { labels })))).toEqual([])
  })

  it("it is known that it did not happen when only other labels are there", () => {
    const labels = [...otherLabels, TransientTransactionError]
    expect(Transient.isCommitUnknown(mongoError("NoSuchTransaction", { code: 251, labels }))).toBe(false)
  })

  it.each([
    [50, "MaxTimeMSExpired"],
    [79, "UnknownReplWriteConcern"],
    [100, "UnsatisfiableWriteConcern"]
  ])("an answer with the code %d (%s) is final, and leaves unknown whether it happened", (code) => {
    for (const error of [asMongoError(driverError(code)), asMongoError(writeConcernReply(code))]) {
      expect(error.code).toBe(code)
      expect([Transient.isCommitAnswered(error), Transient.isCommitUnknown(error)]).toEqual([true, true])
    }
  })

  it("an answer whose write concern ran out of its own time is final, whatever code the reply has of its own", () => {
    const cause = new Driver.MongoWriteConcernError({ ok: 0, code: 64, writeConcernError: { code: 50, errmsg: "no" } })
    const error = asMongoError(cause)
    expect(error.code).toBe(64)
    expect([Transient.isCommitAnswered(error), Transient.isCommitUnknown(error)]).toEqual([true, true])
  })

  it.each([
    ["a conflict", driverError(112, [TransientTransactionError])],
    ["a lost primary", driverError(91, [UnknownTransactionCommitResult])],
    ["a write concern that timed out", writeConcernReply(64)],
    ["a lost connection", new Driver.MongoNetworkError("no")]
  ])("%s is not final", (_, cause) => {
    expect(Transient.isCommitAnswered(asMongoError(cause))).toBe(false)
  })

  it.each([undefined, null, "no", { writeConcernError: null }, { writeConcernError: { code: 64 } }, { code: 50 }])(
    "a cause like %j is not taken for an expired time limit",
    (cause) => {
      expect(Transient.isCommitAnswered(mongoError("Other", { cause }))).toBe(false)
    }
  )
})
