/**
 * The demo: sessions of a real server, from opening the first to proving that nothing is left.
 *
 *     npm run demo
 */
import { MongoClient } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Clients from "./clients.js"
import { keepAlive } from "./keepAlive.js"
import { misuses } from "./misuses.js"
import * as Monitor from "./Monitor.js"
import { oneAtATime } from "./oneAtATime.js"
import { openSession } from "./openSession.js"
import { readYourWrite } from "./readYourWrite.js"
import * as Release from "./release.js"
import * as Screen from "./Screen.js"
import { temporaryFolder } from "./temporaryFolder.js"

/** Everything that needs clients. Its sessions are open until its scope closes. */
const tour = Effect.gen(function*() {
  const { database, driver } = yield* MongoClient.MongoClient
  yield* Effect.addFinalizer(() => Effect.ignore(Effect.tryPromise(() => driver.db(database).dropDatabase())))
  const session = yield* openSession
  yield* oneAtATime(session)
  yield* readYourWrite(session)
  yield* keepAlive
  yield* misuses
  yield* Screen.heading("6. Everything is released, and nothing is left")
  return yield* Release.holdings
})

/** Everything that needs the server. */
const withServer = Effect.gen(function*() {
  const server = yield* Release.server
  const where = server.own === undefined ? "" : `, process ${server.own.pid} at ${server.own.host}`
  yield* Screen.fact("server", `${server.description}, kind "${server.kind}"${where}`)
  const holdings = yield* tour.pipe(Effect.scoped, Effect.provide(Clients.layer))
  yield* Release.checkClients(holdings, server)
  return server
})

const demo = Effect.gen(function*() {
  yield* Screen.heading("effect-mongo-session")
  const folder = yield* temporaryFolder
  const server = yield* withServer.pipe(Effect.provide(MongoServer.layer()))
  yield* Release.checkServer(server, folder)
  const { failed, made } = yield* Screen.score
  yield* Screen.heading(`${made - failed} of ${made} claims hold, after ${process.uptime().toFixed(1)} s`)
  return failed === 0
}).pipe(
  Effect.catchTag("MongoServerUnavailable", ({ message }) => Effect.as(Console.error(message), false)),
  Effect.scoped,
  Effect.provide(Layer.merge(Screen.layer, Monitor.layer))
)

// Ctrl-C, and a terminal or pipe that goes away, interrupt the demo, which then releases what it holds.
const interruption = new AbortController()
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => interruption.abort())
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => interruption.abort())

const exit = await Effect.runPromiseExit(demo, { signal: interruption.signal })
process.exitCode = Exit.match(exit, {
  onSuccess: (isProven) => isProven ? 0 : 1,
  onFailure: (cause) => {
    const isInterrupted = Cause.isInterruptedOnly(cause)
    process.stderr.write(isInterrupted ? "\ninterrupted; everything was released\n" : `\n${Cause.pretty(cause)}\n`)
    return isInterrupted ? 130 : 1
  }
})
