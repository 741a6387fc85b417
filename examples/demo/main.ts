/**
 * The demo: a shop whose checkout is one transaction over three services, with a rush of customers and a proof that its
 * books are right.
 *
 *     npm run demo
 */
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Books from "./books.js"
import * as Client from "./client.js"
import { Inventory } from "./Inventory.js"
import { Mailbox } from "./Mailbox.js"
import * as Monitor from "./Monitor.js"
import { Orders } from "./Orders.js"
import { Payments } from "./Payments.js"
import * as Release from "./release.js"
import { rush } from "./rush.js"
import * as Screen from "./Screen.js"
import * as Shop from "./shop.js"
import { Tally } from "./Tally.js"
import { temporaryFolder } from "./temporaryFolder.js"

/** Written apart, and put together here. */
const ShopLive = Layer.mergeAll(Inventory.Default, Payments.Default, Orders.Default, Mailbox.Default, Tally.Default)
  .pipe(Layer.provideMerge(Client.layer))

/** Everything that needs the client. Its sessions are open until its scope closes. */
const day = Effect.gen(function*() {
  yield* Shop.open
  const time = yield* rush
  yield* Books.tell(time)
  yield* Books.audit
  yield* Screen.heading("5. Everything is released, and nothing is left")
  return yield* Release.holdings
})

/** Everything that needs the server. */
const withServer = Effect.gen(function*() {
  const server = yield* Release.server
  const where = server.own === undefined ? "" : `, process ${server.own.pid} at ${server.own.host}`
  yield* Screen.fact("server", `${server.description}, kind "${server.kind}"${where}`)
  const holdings = yield* day.pipe(Effect.scoped, Effect.provide(ShopLive))
  yield* Release.checkClient(holdings, server)
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
  Effect.catchTags({
    MongoServerUnavailable: ({ message }) => Effect.as(Console.error(message), false),
    TransactionUnsupported: ({ hint, message }) => Effect.as(Console.error(`${message}. ${hint}`), false)
  }),
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
