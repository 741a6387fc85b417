import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as fc from "effect/FastCheck"
import * as Driver from "mongodb"
import { createRequire } from "node:module"
import * as MongoError from "../../src/MongoError.js"
import { needsDriver7 } from "../support/server/driverVersion.js"

const { classify, Label } = MongoError
const secret = "mongodb://root:hunter2@db.internal:27017/?authSource=admin"
const document = "{ email: \"ada@example.org\" }"

const codes: ReadonlyArray<readonly [number, string, MongoError.Reason]> = [
  [2, "BadValue", "InvalidOptions"],
  [6, "HostUnreachable", "NetworkError"],
  [7, "HostNotFound", "NetworkError"],
  [9, "FailedToParse", "InvalidOptions"],
  [13, "Unauthorized", "Unauthorized"],
  [14, "TypeMismatch", "InvalidOptions"],
  [18, "AuthenticationFailed", "AuthenticationFailed"],
  [20, "IllegalOperation", "NotSupported"],
  [24, "LockTimeout", "TimedOut"],
  [26, "NamespaceNotFound", "NamespaceNotFound"],
  [27, "IndexNotFound", "IndexNotFound"],
  [28, "PathNotViable", "InvalidOptions"],
  [40, "ConflictingUpdateOperators", "InvalidOptions"],
  [43, "CursorNotFound", "CursorLost"],
  [47, "NoMatchingDocument", "ImageMissing"],
  [48, "NamespaceExists", "NamespaceExists"],
  [50, "MaxTimeMSExpired", "TimedOut"],
  [59, "CommandNotFound", "NotSupported"],
  [63, "StaleShardVersion", "StaleRouting"],
  [64, "WriteConcernTimeout", "WriteConcernFailed"],
  [52, "DollarPrefixedFieldName", "InvalidOptions"],
  [66, "ImmutableField", "ImmutableField"],
  [68, "IndexAlreadyExists", "IndexConflict"],
  [72, "InvalidOptions", "InvalidOptions"],
  [79, "UnknownReplWriteConcern", "WriteConcernFailed"],
  [73, "InvalidNamespace", "InvalidOptions"],
  [85, "IndexOptionsConflict", "IndexConflict"],
  [86, "IndexKeySpecsConflict", "IndexConflict"],
  [89, "NetworkTimeout", "NetworkError"],
  [91, "ShutdownInProgress", "NotPrimary"],
  [100, "UnsatisfiableWriteConcern", "WriteConcernFailed"],
  [112, "WriteConflict", "WriteConflict"],
  [115, "CommandNotSupported", "NotSupported"],
  [121, "DocumentValidationFailure", "DocumentInvalid"],
  [133, "FailedToSatisfyReadPreference", "ServerSelectionFailed"],
  [134, "ReadConcernMajorityNotAvailableYet", "SnapshotUnavailable"],
  [136, "CappedPositionLost", "CursorLost"],
  [146, "ExceededMemoryLimit", "MemoryLimitExceeded"],
  [148, "ReadConcernMajorityNotEnabled", "NotSupported"],
  [150, "StaleEpoch", "StaleRouting"],
  [166, "CommandNotSupportedOnView", "NotSupported"],
  [175, "QueryPlanKilled", "CursorLost"],
  [189, "PrimarySteppedDown", "NotPrimary"],
  [202, "NetworkInterfaceExceededTimeLimit", "TimedOut"],
  [206, "NoSuchSession", "NoSuchSession"],
  [211, "KeyNotFound", "KeyNotFound"],
  [225, "TransactionTooOld", "TransactionTooOld"],
  [234, "RetryChangeStream", "CursorLost"],
  [237, "CursorKilled", "CursorLost"],
  [239, "SnapshotTooOld", "SnapshotUnavailable"],
  [246, "SnapshotUnavailable", "SnapshotUnavailable"],
  [249, "StaleDbVersion", "StaleRouting"],
  [250, "StaleChunkHistory", "SnapshotUnavailable"],
  [251, "NoSuchTransaction", "NoSuchTransaction"],
  [256, "TransactionCommitted", "TransactionCommitted"],
  [257, "TransactionTooLarge", "TransactionTooLarge"],
  [260, "InvalidResumeToken", "ChangeStreamLost"],
  [261, "TooManyLogicalSessions", "TooManySessions"],
  [262, "ExceededTimeLimit", "TimedOut"],
  [263, "OperationNotSupportedInTransaction", "NotSupported"],
  [267, "PreparedTransactionInProgress", "PreparedTransaction"],
  [272, "MigrationConflict", "SnapshotUnavailable"],
  [280, "ChangeStreamFatalError", "ChangeStreamLost"],
  [286, "ChangeStreamHistoryLost", "ChangeStreamLost"],
  [292, "QueryExceededMemoryLimitNoDiskUseAllowed", "MemoryLimitExceeded"],
  [290, "TransactionExceededLifetimeLimitSeconds", "TransactionExpired"],
  [388, "TransactionTooLargeForCache", "TransactionTooLarge"],
  [391, "ReauthenticationRequired", "AuthenticationFailed"],
  [433, "AdmissionQueueOverflow", "Overloaded"],
  [449, "RateLimitExceeded", "Overloaded"],
  [462, "IngressRequestRateLimitExceeded", "Overloaded"],
  [9001, "SocketException", "NetworkError"],
  [10058, "LegacyNotPrimary", "NotPrimary"],
  [10334, "BSONObjectTooLarge", "DocumentTooLarge"],
  // What an update would make of a document.
  [17419, "Location17419", "DocumentTooLarge"],
  [17420, "Location17420", "DocumentTooLarge"],
  [10107, "NotWritablePrimary", "NotPrimary"],
  [11000, "DuplicateKey", "DuplicateKey"],
  [11001, "DuplicateKey", "DuplicateKey"],
  [11600, "InterruptedAtShutdown", "NotPrimary"],
  [11601, "Interrupted", "Interrupted"],
  [11602, "InterruptedDueToReplStateChange", "NotPrimary"],
  [12582, "DuplicateKey", "DuplicateKey"],
  [13388, "StaleConfig", "StaleRouting"],
  [13435, "NotPrimaryNoSecondaryOk", "NotPrimary"],
  [13436, "NotPrimaryOrSecondary", "NotPrimary"],
  [31082, "SearchNotEnabled", "NotSupported"],
  // A stage that the server does not know.
  [40324, "Location40324", "NotSupported"],
  // An option that the server does not know.
  [40415, "Location40415", "NotSupported"],
  [40573, "Location40573", "NotSupported"],
  // The stage $listSearchIndexes outside of Atlas, of 6.0.27 and 7.0.
  [6047401, "Location6047401", "NotSupported"]
]

const classes: { readonly [name: string]: MongoError.Reason } = {
  BSONError: "EncodingFailed",
  BSONOffsetError: "EncodingFailed",
  BSONRuntimeError: "EncodingFailed",
  BSONVersionError: "EncodingFailed",
  MongoAPIError: "InvalidArgument",
  MongoAWSError: "AuthenticationFailed",
  MongoAzureError: "AuthenticationFailed",
  MongoBatchReExecutionError: "InvalidArgument",
  MongoBulkWriteError: "Other",
  MongoChangeStreamError: "ChangeStreamLost",
  MongoClientBulkWriteCursorError: "UnexpectedReply",
  MongoClientBulkWriteError: "Other",
  MongoClientBulkWriteExecutionError: "InvalidArgument",
  MongoClientClosedError: "ConnectionClosed",
  MongoCompatibilityError: "Incompatible",
  MongoCryptAzureKMSRequestError: "EncryptionFailed",
  MongoCryptCreateDataKeyError: "EncryptionFailed",
  MongoCryptCreateEncryptedCollectionError: "EncryptionFailed",
  MongoCryptError: "EncryptionFailed",
  MongoCryptInvalidArgumentError: "EncryptionFailed",
  MongoCryptKMSRequestNetworkTimeoutError: "EncryptionFailed",
  MongoCursorExhaustedError: "InvalidArgument",
  MongoCursorInUseError: "InvalidArgument",
  MongoDecompressionError: "UnexpectedReply",
  MongoDriverError: "Other",
  MongoError: "Other",
  MongoExpiredSessionError: "SessionExpired",
  MongoGCPError: "AuthenticationFailed",
  MongoGridFSChunkError: "Other",
  MongoGridFSStreamError: "Other",
  MongoInvalidArgumentError: "InvalidArgument",
  MongoKerberosError: "AuthenticationFailed",
  MongoMissingCredentialsError: "AuthenticationFailed",
  MongoMissingDependencyError: "Incompatible",
  MongoNetworkError: "NetworkError",
  MongoNetworkTimeoutError: "NetworkError",
  MongoNotConnectedError: "ConnectionClosed",
  MongoOIDCError: "AuthenticationFailed",
  MongoOperationTimeoutError: "TimedOut",
  MongoParseError: "UnexpectedReply",
  MongoPoolClearedError: "PoolFailure",
  MongoPoolClosedError: "PoolFailure",
  MongoRuntimeError: "Other",
  MongoServerClosedError: "PoolFailure",
  MongoServerError: "Other",
  MongoServerSelectionError: "ServerSelectionFailed",
  MongoStalePrimaryError: "NotPrimary",
  MongoSystemError: "ServerSelectionFailed",
  MongoTailableCursorError: "InvalidArgument",
  MongoTopologyClosedError: "ConnectionClosed",
  MongoTransactionError: "TransactionMisuse",
  MongoUnexpectedServerResponseError: "UnexpectedReply",
  MongoWaitQueueTimeoutError: "PoolFailure",
  MongoWriteConcernError: "WriteConcernFailed",
  PoolClearedOnNetworkError: "NetworkError",
  TimeoutError: "TimedOut"
}

/** The names of the error classes among a module's exports. */
const errorNames = (module: object): ReadonlyArray<string> =>
  Object.values(module)
    .filter((value): value is { readonly prototype: Error } =>
      typeof value === "function" && value.prototype instanceof Error
    )
    .map(({ prototype }) => Object.getOwnPropertyDescriptor(prototype, "name")?.get?.call({}) as string)

const require = createRequire(import.meta.url)

const every = (overrides: Partial<ConstructorParameters<typeof MongoError.MongoError>[0]> = {}) =>
  new MongoError.MongoError({ reason: "Other", operation: "insert", labels: [], ...overrides })

describe("MongoError", () => {
  describe("is told by", () => {
    it.each(codes)("the server's code %d (%s): %s", (code, _, reason) => {
      expect(classify({ labels: [], code })).toBe(reason)
    })

    it("the server's name for a code that is not known by its number, whatever its labels", () => {
      const labels = [Label.SystemOverloadedError, Label.RetryableError]
      expect(classify({ labels, code: 99_999, codeName: "TooManyOpenTransactions" })).toBe("TooManyTransactions")
      expect(classify({ labels: [], code: 99_999, codeName: "constructor" })).toBe("Other")
    })

    it.each(Object.entries(classes))("the driver's class %s: %s", (name, reason) => {
      expect(classify({ labels: [], name })).toBe(reason)
    })

    it("every error class of the driver, its pool, its timeouts and BSON, so that a new one is noticed", (context) => {
      needsDriver7(context, "it has not all of them")
      const found = [
        ...errorNames(Driver),
        ...errorNames(Driver.BSON),
        ...errorNames(require("mongodb/lib/cmap/errors")),
        ...errorNames(require("mongodb/lib/timeout"))
      ]
      expect([...new Set(found)].sort()).toEqual(Object.keys(classes).sort())
    })

    it("the name that an error of the driver really has", () => {
      const errors = [
        new Driver.MongoNetworkTimeoutError("timed out"),
        new Driver.MongoExpiredSessionError(),
        new Driver.BSON.BSONError("no")
      ]
      expect(errors.map(({ name }) => classify({ labels: [], name })))
        .toEqual(["NetworkError", "SessionExpired", "EncodingFailed"])
    })

    it.each(Object.values(Label))("the label %s before a code, if it decides at all", (label) => {
      const decides: { readonly [label: string]: string } = {
        SystemOverloadedError: "Overloaded",
        PoolRequestedRetry: "PoolFailure"
      }
      expect(classify({ labels: ["Unheard", label], code: 11000, name: "MongoServerError" }))
        .toBe(decides[label] ?? "DuplicateKey")
    })

    it("a failed write concern before its code and its labels: what it waited for was written", () => {
      for (const code of [6, 24, 50, 64, 79, 89, 91, 100, 133, 189, 262, 10107, 11600, 11601, 11602, 13]) {
        for (const labels of [[], [Label.RetryableWriteError], [Label.SystemOverloadedError]]) {
          expect(classify({ labels, code, name: "MongoWriteConcernError" })).toBe("WriteConcernFailed")
        }
      }
    })

    it("the code before the class and before an abort", () => {
      expect(classify({ labels: [], code: 18, name: "MongoServerSelectionError" })).toBe("AuthenticationFailed")
      expect(classify({ labels: [], code: 112, name: "MongoNetworkError", aborted: true })).toBe("WriteConflict")
    })

    it("an abort before the class: aborting closes the connection", () => {
      expect(classify({ labels: [], name: "MongoNetworkError", aborted: true })).toBe("Interrupted")
      expect(classify({ labels: [], name: "AbortError" })).toBe("Interrupted")
    })

    it("the class, where the code is not known", () => {
      expect(classify({ labels: [], code: 99999, name: "MongoWriteConcernError" })).toBe("WriteConcernFailed")
      expect(classify({ labels: [], code: 99999, name: "MongoServerError" })).toBe("Other")
      expect(classify({ labels: ["Unheard"], name: "constructor" })).toBe("Other")
      expect(classify({ labels: [] })).toBe("Other")
    })

    it("something for all facts", () => {
      const facts = fc.record({
        labels: fc.array(fc.oneof(fc.string(), fc.constantFrom(...Object.values(Label)))),
        code: fc.option(fc.oneof(fc.double(), fc.constantFrom(...codes.map(([code]) => code))), { nil: undefined }),
        name: fc.option(fc.oneof(fc.string(), fc.constantFrom(...Object.keys(classes))), { nil: undefined }),
        aborted: fc.option(fc.boolean(), { nil: undefined })
      })
      fc.assert(fc.property(facts, (facts) => {
        const error = every({ reason: classify(facts), labels: facts.labels, code: facts.code })
        expect(error.message).not.toContain("undefined")
        expect(typeof error.isRetryable).toBe("boolean")
      }))
    })
  })

  it("names every label of the driver", (context) => {
    needsDriver7(context, "it has not all of them, and one of them misspelt")
    expect(Object.values(Label).sort()).toEqual(Object.values(Driver.MongoErrorLabel).sort())
    Object.entries(Label).forEach(([name, label]) => expect(name).toBe(label))
  })

  describe("is worth another attempt", () => {
    it.each([
      Label.TransientTransactionError,
      Label.RetryableWriteError,
      Label.RetryableError,
      Label.UnknownTransactionCommitResult
    ])("with the label %s, whatever the reason", (label) => {
      expect(every({ reason: "DuplicateKey", code: 11000, labels: [label] }).isRetryable).toBe(true)
    })

    it.each(
      Object.values(Label).filter((label) =>
        label !== Label.TransientTransactionError && label !== Label.RetryableWriteError &&
        label !== Label.RetryableError && label !== Label.UnknownTransactionCommitResult
      )
    )("not for the label %s alone", (label) => {
      expect(every({ labels: [label] }).isRetryable).toBe(false)
    })

    // the list of the specification "Retryable Reads"
    it.each([6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436])(
      "after the server's code %d",
      (code) => {
        expect(every({ reason: classify({ labels: [], code }), code }).isRetryable).toBe(true)
      }
    )

    it.each([13, 18, 20, 43, 50, 64, 72, 206, 225, 237, 246, 251, 256, 257, 261, 263, 267, 290, 11000, 11601])(
      "not after the server's code %d without a label",
      (code) => {
        expect(every({ reason: classify({ labels: [], code }), code }).isRetryable).toBe(false)
      }
    )

    it.each([
      ["MongoNetworkError", true],
      ["MongoServerSelectionError", true],
      ["MongoWaitQueueTimeoutError", true],
      ["MongoPoolClearedError", true],
      ["PoolClearedOnNetworkError", true],
      ["MongoOperationTimeoutError", false],
      ["MongoClientClosedError", false],
      ["MongoExpiredSessionError", false],
      ["MongoInvalidArgumentError", false],
      ["BSONError", false]
    ])("after %s: %s", (name, expected) => {
      expect(every({ reason: classify({ labels: [], name }) }).isRetryable).toBe(expected)
    })

    it("not where it is written, whatever the code of its failed write concern, unless it was a commit", () => {
      for (const code of [64, 91, 134, 189, 262, 10107, 11600, 11602]) {
        const written = { reason: "WriteConcernFailed", code } as const
        expect(every(written).isRetryable).toBe(false)
        expect(every({ ...written, labels: [Label.RetryableWriteError] }).isRetryable).toBe(false)
        expect(every({ ...written, labels: [Label.UnknownTransactionCommitResult] }).isRetryable).toBe(true)
      }
    })

    it("after a lost conflict and after overload", () => {
      expect(every({ reason: "WriteConflict" }).isRetryable).toBe(true)
      expect(every({ reason: "Overloaded" }).isRetryable).toBe(true)
    })
  })

  describe("says", () => {
    const cause = new Driver.MongoServerError({
      message: `E11000 duplicate key ${document} at ${secret}`,
      code: 11000,
      keyValue: { email: "ada@example.org" }
    })
    const error = every({
      reason: "DuplicateKey",
      operation: "insert",
      namespace: "shop.users",
      code: 11000,
      codeName: "DuplicateKey",
      labels: [Label.NoWritesPerformed],
      cause
    })

    it("nothing of its cause: no URL, no password, no document", () => {
      for (const text of [error.message, String(error), JSON.stringify(error), JSON.stringify(Cause.fail(error))]) {
        expect(text).not.toMatch(/hunter2|mongodb:|db\.internal|ada@|example/)
      }
    })

    it("nothing of a code name that is not a name", () => {
      expect(every({ code: 1, codeName: secret }).message).not.toContain("hunter2")
    })

    it("operation, namespace, reason and code", () => {
      expect(error.message).toBe(
        "insert on shop.users failed: a unique index already holds this key (DuplicateKey, code 11000 DuplicateKey)"
      )
      expect(every().message).toBe("insert failed: the driver or the server reported an error (Other)")
    })

    it("the same in JSON, with its labels and without its cause", () => {
      expect(JSON.parse(JSON.stringify(error))).toEqual({
        _tag: "MongoError",
        message: error.message,
        reason: "DuplicateKey",
        operation: "insert",
        namespace: "shop.users",
        code: 11000,
        codeName: "DuplicateKey",
        labels: ["NoWritesPerformed"],
        isRetryable: false
      })
    })

    it("which labels it has", () => {
      expect(error.hasLabel(Label.NoWritesPerformed)).toBe(true)
      expect(error.hasLabel(Label.TransientTransactionError)).toBe(false)
    })

    it("its cause to those who ask", () => {
      expect(error.cause).toBe(cause)
    })

    it("its message at the head of its stack", () => {
      expect(error.stack?.split("\n")[0]).toBe(`MongoError: ${error.message}`)
    })
  })

  it.effect("is caught by its tag", () =>
    Effect.gen(function*() {
      const error = every({ reason: "TimedOut" })
      const reason = yield* Effect.fail(error).pipe(
        Effect.catchTag("MongoError", ({ reason }) => Effect.succeed(reason))
      )
      expect(reason).toBe("TimedOut")
    }))
})
