/**
 * The tables behind MongoError: which codes and classes stand for which reason, and how a reason is put into words.
 */
/**
 * Why an operation failed.
 *
 * - `AuthenticationFailed`: the credentials are missing, wrong, expired or could not be checked
 * - `Unauthorized`: the user is known and lacks the privilege
 * - `DuplicateKey`: a unique index already holds the key
 * - `DocumentInvalid`: the collection's validator refused the document
 * - `DocumentTooLarge`: a document has, or would have, more than 16 MiB; or a command with its filter and update
 * - `ImmutableField`: the update would change a field that cannot be changed, like `_id`
 * - `WriteConflict`: another operation changed the same document first
 * - `NamespaceNotFound`, `NamespaceExists`: the collection or view is missing, or there already
 * - `IndexNotFound`: there is no index of that name
 * - `IndexConflict`: there is another index of that name, or of those keys
 * - `CursorLost`: the server no longer knows the cursor, or killed it
 * - `ChangeStreamLost`: the change stream cannot be resumed from where it was
 * - `ImageMissing`: a change stream asked for a document as it was before or after the change, and the server has no such image
 * - `NetworkError`: the connection broke; the server may have executed the operation
 * - `ServerSelectionFailed`: no server fit for the operation was found in time; nothing was sent
 * - `PoolFailure`: no connection could be taken from the pool; nothing was sent
 * - `ConnectionClosed`: the client is closed, or was never connected
 * - `NotPrimary`: the server is not, or no longer, primary, or is shutting down
 * - `StaleRouting`: a shard or router worked with outdated routing information
 * - `MemoryLimitExceeded`: a stage of an aggregation, or a sort, needs more memory than the server allows
 * - `Overloaded`: the server, or the way to it, refused work to protect itself
 * - `TimedOut`: a time limit of the operation ran out
 * - `Interrupted`: the operation was killed on the server, or aborted by this program
 * - `WriteConcernFailed`: written, but not acknowledged as the write concern asks, whatever the code; a change of the
 *   primary may take it back
 * - `SnapshotUnavailable`: the data as of the wanted time is gone, or not there yet
 * - `TooManySessions`: the server's limit of logical sessions is reached
 * - `TooManyTransactions`: the server's limit of open transactions is reached
 * - `NoSuchSession`: the server does not know the session
 * - `NoSuchTransaction`, `TransactionTooOld`, `TransactionCommitted`, `TransactionTooLarge`,
 *   `TransactionExpired`, `PreparedTransaction`: what the server says about a transaction
 * - `KeyNotFound`: the server has no key for the signature of a cluster time, as of another deployment
 * - `NotSupported`: the deployment does not offer the operation, or not in this situation
 * - `InvalidOptions`: the options or values are not valid, as the server, or this library, says
 * - `InvalidUrl`: the connection string could not be understood
 * - `InvalidArgument`: the driver refused the arguments, or its API was misused
 * - `TransactionMisuse`: the driver refused a transaction operation in the session's present state
 * - `SessionExpired`: the driver was given a session that has ended
 * - `EncodingFailed`: a document could not be turned into BSON, or back
 * - `EncryptionFailed`: client-side encryption or its key management failed
 * - `Incompatible`: driver, server and installed packages do not fit together
 * - `UnexpectedReply`: the server's reply was not what the protocol promises
 * - `Other`: none of these
 *
 * @since 0.1.0
 * @category errors
 */
export type Reason =
  | "AuthenticationFailed"
  | "Unauthorized"
  | "DuplicateKey"
  | "DocumentInvalid"
  | "DocumentTooLarge"
  | "ImmutableField"
  | "WriteConflict"
  | "NamespaceNotFound"
  | "NamespaceExists"
  | "IndexNotFound"
  | "IndexConflict"
  | "CursorLost"
  | "ChangeStreamLost"
  | "ImageMissing"
  | "NetworkError"
  | "ServerSelectionFailed"
  | "PoolFailure"
  | "ConnectionClosed"
  | "NotPrimary"
  | "StaleRouting"
  | "MemoryLimitExceeded"
  | "Overloaded"
  | "TimedOut"
  | "Interrupted"
  | "WriteConcernFailed"
  | "SnapshotUnavailable"
  | "TooManySessions"
  | "TooManyTransactions"
  | "NoSuchSession"
  | "NoSuchTransaction"
  | "TransactionTooOld"
  | "TransactionCommitted"
  | "TransactionTooLarge"
  | "TransactionExpired"
  | "PreparedTransaction"
  | "KeyNotFound"
  | "NotSupported"
  | "InvalidOptions"
  | "InvalidUrl"
  | "InvalidArgument"
  | "TransactionMisuse"
  | "SessionExpired"
  | "EncodingFailed"
  | "EncryptionFailed"
  | "Incompatible"
  | "UnexpectedReply"
  | "Other"

const invert = <K>(table: { readonly [R in Reason]?: ReadonlyArray<K> }): ReadonlyMap<K, Reason> =>
  new Map(
    (Object.entries(table) as ReadonlyArray<[Reason, ReadonlyArray<K>]>)
      .flatMap(([reason, keys]) => keys.map((key) => [key, reason] as const))
  )

/**
 * By the server's code: its `error_codes.yml`, and the groups of the specifications "Retryable Reads", "Server
 * Discovery And Monitoring" and "Transactions".
 */
export const reasonOfCode = invert<number>({
  AuthenticationFailed: [18, 391],
  Unauthorized: [13],
  DuplicateKey: [11000, 11001, 12582],
  DocumentInvalid: [121],
  DocumentTooLarge: [10334, 17419, 17420],
  ImmutableField: [66],
  WriteConflict: [112],
  NamespaceNotFound: [26],
  NamespaceExists: [48],
  IndexNotFound: [27],
  IndexConflict: [68, 85, 86],
  CursorLost: [43, 136, 175, 234, 237],
  ChangeStreamLost: [260, 280, 286],
  ImageMissing: [47],
  NetworkError: [6, 7, 89, 9001],
  ServerSelectionFailed: [133],
  NotPrimary: [91, 189, 10058, 10107, 11600, 11602, 13435, 13436],
  StaleRouting: [63, 150, 249, 13388],
  MemoryLimitExceeded: [146, 292],
  Overloaded: [433, 449, 462],
  TimedOut: [24, 50, 202, 262],
  Interrupted: [11601],
  WriteConcernFailed: [64, 79, 100],
  SnapshotUnavailable: [134, 239, 246, 250, 272],
  TooManySessions: [261],
  NoSuchSession: [206],
  NoSuchTransaction: [251],
  TransactionTooOld: [225],
  TransactionCommitted: [256],
  TransactionTooLarge: [257, 388],
  TransactionExpired: [290],
  PreparedTransaction: [267],
  KeyNotFound: [211],
  NotSupported: [20, 59, 115, 148, 166, 263, 31082, 40324, 40415, 40573, 6047401],
  InvalidOptions: [2, 9, 14, 28, 40, 52, 53, 54, 56, 57, 67, 72, 73, 241]
})

/** By the server's name for a code, where the code itself is not known yet: MongoDB 9 has it. */
export const reasonOfCodeName = invert<string>({ TooManyTransactions: ["TooManyOpenTransactions"] })

/** By the `name` of the driver's or BSON's error class. */
export const reasonOfClass = invert<string>({
  AuthenticationFailed: [
    "MongoMissingCredentialsError",
    "MongoKerberosError",
    "MongoAWSError",
    "MongoOIDCError",
    "MongoAzureError",
    "MongoGCPError"
  ],
  // the interrupted connection was in use, so the command may have reached the server
  NetworkError: ["MongoNetworkError", "MongoNetworkTimeoutError", "PoolClearedOnNetworkError"],
  ServerSelectionFailed: ["MongoServerSelectionError", "MongoSystemError"],
  PoolFailure: [
    "MongoPoolClearedError",
    "MongoPoolClosedError",
    "MongoWaitQueueTimeoutError",
    "MongoServerClosedError"
  ],
  ConnectionClosed: ["MongoNotConnectedError", "MongoClientClosedError", "MongoTopologyClosedError"],
  NotPrimary: ["MongoStalePrimaryError"],
  TimedOut: ["MongoOperationTimeoutError", "TimeoutError"],
  Interrupted: ["AbortError"],
  WriteConcernFailed: ["MongoWriteConcernError"],
  ChangeStreamLost: ["MongoChangeStreamError"],
  InvalidArgument: [
    "MongoInvalidArgumentError",
    "MongoAPIError",
    "MongoBatchReExecutionError",
    "MongoClientBulkWriteExecutionError",
    "MongoCursorExhaustedError",
    "MongoCursorInUseError",
    "MongoTailableCursorError"
  ],
  TransactionMisuse: ["MongoTransactionError"],
  SessionExpired: ["MongoExpiredSessionError"],
  EncodingFailed: ["BSONError", "BSONRuntimeError", "BSONOffsetError", "BSONVersionError"],
  EncryptionFailed: [
    "MongoCryptError",
    "MongoCryptInvalidArgumentError",
    "MongoCryptCreateDataKeyError",
    "MongoCryptCreateEncryptedCollectionError",
    "MongoCryptAzureKMSRequestError",
    "MongoCryptKMSRequestNetworkTimeoutError"
  ],
  Incompatible: ["MongoCompatibilityError", "MongoMissingDependencyError"],
  // At connecting it is the connection string that was not understood: see `driver/client`.
  UnexpectedReply: [
    "MongoParseError",
    "MongoUnexpectedServerResponseError",
    "MongoClientBulkWriteCursorError",
    "MongoDecompressionError"
  ]
})

/** The library's own words for each reason. */
export const wording: { readonly [R in Reason]: string } = {
  AuthenticationFailed: "the credentials were not accepted",
  Unauthorized: "the user lacks the privilege for it",
  DuplicateKey: "a unique index already holds this key",
  DocumentInvalid: "the collection's validator refused the document",
  DocumentTooLarge: "a document or command is larger than 16 MiB",
  ImmutableField: "the update would change a field that cannot be changed",
  WriteConflict: "another operation changed the same document first",
  NamespaceNotFound: "the namespace does not exist",
  NamespaceExists: "the namespace exists already",
  IndexNotFound: "there is no such index",
  IndexConflict: "there is another index of that name or of those keys",
  CursorLost: "the server no longer has the cursor",
  ChangeStreamLost: "the change stream cannot be resumed from where it was",
  ImageMissing: "the server has no such image of the changed document",
  NetworkError: "the connection broke",
  ServerSelectionFailed: "no suitable server was found",
  PoolFailure: "the pool had no connection for it",
  ConnectionClosed: "the client is not connected",
  NotPrimary: "the server is not primary or is shutting down",
  StaleRouting: "the routing information was out of date",
  MemoryLimitExceeded: "it needs more memory than the server allows",
  Overloaded: "the server is overloaded",
  TimedOut: "a time limit ran out",
  Interrupted: "the operation was interrupted",
  WriteConcernFailed: "the write concern was not satisfied",
  SnapshotUnavailable: "the data as of the wanted time is not available",
  TooManySessions: "the server has too many sessions",
  TooManyTransactions: "the server has too many open transactions",
  NoSuchSession: "the server does not know the session",
  NoSuchTransaction: "the server does not know the transaction, or aborted it",
  TransactionTooOld: "a newer transaction was started in the session",
  TransactionCommitted: "the transaction was committed already",
  TransactionTooLarge: "the transaction is too large",
  TransactionExpired: "the transaction was open for longer than the server allows",
  PreparedTransaction: "the transaction is prepared, or blocked by one that is",
  KeyNotFound: "the server has no key for the signature of the cluster time",
  NotSupported: "the deployment does not support it here",
  InvalidOptions: "the options or values are invalid",
  InvalidUrl: "the connection string is malformed",
  InvalidArgument: "the driver refused the arguments",
  TransactionMisuse: "the session's transaction does not allow it now",
  SessionExpired: "the driver's session has ended",
  EncodingFailed: "a document could not be converted to or from BSON",
  EncryptionFailed: "client-side encryption failed",
  Incompatible: "the driver, the server and the installed packages do not fit together",
  UnexpectedReply: "the server's reply was not understood",
  Other: "the driver or the server reported an error"
}
