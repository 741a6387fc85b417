/**
 * Ends commands that the driver has forgotten: what it was about to write when it closed their connection.
 *
 * The driver closes the connections in use when the monitor of a server has had no answer. A command whose bytes are made at
 * that moment is written to a socket that is closed already, which is no error of the socket, and the driver waits for ever
 * until it has room again.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import { listening } from "./listen.js"
import { connectionsInUse } from "./privates.js"

/** Watches a client until the scope closes. */
export const endForgotten = (driver: Driver.MongoClient): Effect.Effect<void, never, Scope.Scope> =>
  listening(driver, { serverHeartbeatFailed: () => later(driver) })

// What the driver closes because of it is closed, and what it was about to write is written, when it has nothing more to do at once.
// eslint-disable-next-line no-restricted-globals -- not a wait of a program
const later = (driver: Driver.MongoClient): void => void setImmediate(end, driver)

// Whoever waits for the socket gets the error with which the driver has closed the connection. Nobody else listens to it any more.
const end = (driver: Driver.MongoClient): void => {
  for (const { closed, error, socket } of connectionsInUse(driver)) {
    if (closed && error !== null) socket.emit("error", error)
  }
}
