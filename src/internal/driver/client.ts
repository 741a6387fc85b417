/**
 * Makes and connects clients of the driver.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import { traced } from "../time/fiber.js"
import * as Compatibility from "./compatibility.js"
import { isDriverFailure, isNamed, toCause, toMongoError } from "./errors.js"
import { listening } from "./listen.js"
import * as Privates from "./privates.js"

/**
 * Builds a client without connecting it, and checks its driver by {@link Compatibility.check}. Every error of the driver about URL
 * or options becomes a MongoError. The constructor also throws errors of the URL parsers below it, and gives the same class
 * for an option as for a URL.
 */
export const makeClient = (
  url: Redacted.Redacted<string>,
  options: Driver.MongoClientOptions
): Effect.Effect<Driver.MongoClient, MongoError> =>
  Effect.suspend(() => {
    const build = (given: Driver.MongoClientOptions) =>
      Either.try(() => new Driver.MongoClient(Redacted.value(url), given))
    const built = build(options)
    if (Either.isRight(built)) {
      return Effect.as(Compatibility.check(built.right), built.right)
    }
    const cause = built.left
    if (Either.isRight(build({}))) {
      return Effect.fail(refused("InvalidOptions", cause))
    }
    return Effect.fail(
      isDriverFailure(cause) && cause.name !== "MongoRuntimeError" && !isNamed(cause, unparsed)
        ? toMongoError({ operation: "connect" }, cause)
        : refused("InvalidUrl", cause)
    )
  })

const refused = (reason: MongoError["reason"], cause: unknown): MongoError =>
  new MongoError({ reason, operation: "connect", labels: [], cause })

// So the driver calls what a URL, or DNS for it, says wrongly; and a reply with a length that can't be, but that is no failure of
// connecting: no server is found then.
const unparsed = "MongoParseError"

/**
 * Connects a client. An interruption does not wait; the caller then closes the client. The driver may connect a client that
 * was closed while its hosts were looked up, so `late` runs when an interrupted attempt to connect is over.
 *
 * Before a server is asked, the driver looks hosts up and reads files; what the system has against it is a failure too.
 * The driver goes on looking for a better server until its time is up when all that there are have an unfit version;
 * this gives up at once.
 */
export const connect = (
  client: Driver.MongoClient,
  late: Effect.Effect<void> = Effect.void
): Effect.Effect<void, MongoError> =>
  Effect.async<void, MongoError>((resume) => {
    const watch = ({ newDescription }: Driver.TopologyDescriptionChangedEvent): void => {
      const errors = [...newDescription.servers.values()].map(({ error }) => error)
      const first = errors[0]
      if (first && errors.every((error) => error?.name === "MongoCompatibilityError")) {
        resume(Effect.fail(toMongoError({ operation: "connect" }, first)))
      }
    }
    client.on("topologyDescriptionChanged", watch)
    const unwatch = (): void => void client.off("topologyDescriptionChanged", watch)
    const settled = client.connect().finally(unwatch).then(
      () => resume(Effect.void),
      (error: unknown) =>
        resume(
          error instanceof Error && "syscall" in error
            ? Effect.fail(
              refused(error.syscall === "open" || error.syscall === "read" ? "InvalidOptions" : "NetworkError", error)
            )
            : isNamed(error, unparsed)
            ? Effect.fail(refused("InvalidUrl", error))
            : traced(Exit.failCause(toCause({ operation: "connect", client }, error)))
        )
    )
    return Effect.asVoid(Effect.forkDaemon(Effect.zipRight(Effect.promise(() => settled), late)))
  })

/**
 * An effect that is begun now on a client, which is connected before where it is not. The driver does so by itself, but once only,
 * and gives the system's own errors then.
 */
export const connected = <A, E>(
  client: Driver.MongoClient,
  effect: Effect.Effect<A, E>
): Effect.Effect<A, E | MongoError> => Privates.isToConnect(client) ? Effect.zipRight(connect(client), effect) : effect

/** Counts the connections of a client that broke, until the scope closes. */
export const countBroken = (client: Driver.MongoClient): Effect.Effect<() => number, never, Scope.Scope> => {
  let count = 0
  const note = ({ reason }: Driver.ConnectionClosedEvent): void => {
    if (reason === "error") count++
  }
  return Effect.as(listening(client, { connectionClosed: note }), () => count)
}

/** A write concern without its time limit; what is left of it may be nothing. */
export const withoutTimeLimit = ({ journal, w }: Driver.WriteConcern): Driver.WriteConcernSettings => ({
  ...(w === undefined ? {} : { w }),
  ...(journal === undefined ? {} : { journal })
})
