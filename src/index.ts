/**
 * MongoDB logical sessions and composable transactions for Effect.
 *
 * Each module is a namespace: `Session.make`, `MongoClient.layer`.
 *
 * @since 0.1.0
 */

/** What a session has seen, as a value that travels between processes. @since 0.1.0 */
export * as CausalToken from "./CausalToken.js"
/** What a change stream tells, by kind of change. @since 0.1.0 */
export * as ChangeEvent from "./ChangeEvent.js"
/** What changes, as a stream, and consumed exactly once. @since 0.1.0 */
export * as ChangeStream from "./ChangeStream.js"
/** Turns documents into values and back. @since 0.1.0 */
export * as Codec from "./Codec.js"
/** A collection of documents, typed by a schema. @since 0.1.0 */
export * as Collection from "./Collection.js"
/** The driver's cursors as streams. @since 0.1.0 */
export * as Cursor from "./Cursor.js"
/** A database: commands, its collections, and what is done with all of it. @since 0.1.0 */
export * as Database from "./Database.js"
/** Filters that the compiler checks. @since 0.1.0 */
export * as Filter from "./Filter.js"
/** Leases with fencing: one instance at a time. @since 0.1.0 */
export * as Lease from "./Lease.js"
/** A MongoDB client as a scoped resource. @since 0.1.0 */
export * as MongoClient from "./MongoClient.js"
/** The one error for failures of the driver or the server. @since 0.1.0 */
export * as MongoError from "./MongoError.js"
/** Effects that take effect once for a key. @since 0.1.0 */
export * as Once from "./Once.js"
/** Messages that are published with a transaction, and delivered in order. @since 0.1.0 */
export * as Outbox from "./Outbox.js"
/** The names of a document's fields. @since 0.1.0 */
export * as Path from "./Path.js"
/** Which fields are read of a document. @since 0.1.0 */
export * as Projection from "./Projection.js"
/** A place in a change stream, as a value that can be stored. @since 0.1.0 */
export * as ResumeToken from "./ResumeToken.js"
/** Schemas of ids, decimals, int64, UUIDs, bytes and timestamps. @since 0.1.0 */
export * as Schemas from "./Schemas.js"
/** A logical session as a scoped resource. @since 0.1.0 */
export * as Session from "./Session.js"
/** The server's own session commands. @since 0.1.0 */
export * as SessionCommands from "./SessionCommands.js"
/** Every error but that of the driver or the server. @since 0.1.0 */
export * as SessionErrors from "./SessionErrors.js"
/** The id of a server session, as a value. @since 0.1.0 */
export * as SessionId from "./SessionId.js"
/** Keeps idle sessions alive. @since 0.1.0 */
export * as SessionKeeper from "./SessionKeeper.js"
/** The options of a session. @since 0.1.0 */
export * as SessionOptions from "./SessionOptions.js"
/** In which order documents come. @since 0.1.0 */
export * as Sort from "./Sort.js"
/** Workflows of transactional steps, each of which takes effect once. @since 0.1.0 */
export * as Steps from "./Steps.js"
/** The names and metrics of what the library reports about itself. @since 0.1.0 */
export * as Telemetry from "./Telemetry.js"
/** Transactions that compose. @since 0.1.0 */
export * as Transaction from "./Transaction.js"
/** The options of a transaction. @since 0.1.0 */
export * as TransactionOptions from "./TransactionOptions.js"
/** Updates that the compiler checks. @since 0.1.0 */
export * as Update from "./Update.js"
