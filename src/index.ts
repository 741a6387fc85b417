/**
 * MongoDB logical sessions and composable transactions for Effect.
 *
 * Each module is a namespace: `Session.make`, `MongoClient.layer`.
 *
 * @since 0.1.0
 */

/** What a session has seen, as a value that travels between processes. @since 0.1.0 */
export * as CausalToken from "./CausalToken.js"
/** A MongoDB client as a scoped resource. @since 0.1.0 */
export * as MongoClient from "./MongoClient.js"
/** The one error for failures of the driver or the server. @since 0.1.0 */
export * as MongoError from "./MongoError.js"
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
/** The names and metrics of what the library reports about itself. @since 0.1.0 */
export * as Telemetry from "./Telemetry.js"
/** Transactions that compose. @since 0.1.0 */
export * as Transaction from "./Transaction.js"
/** The options of a transaction. @since 0.1.0 */
export * as TransactionOptions from "./TransactionOptions.js"
