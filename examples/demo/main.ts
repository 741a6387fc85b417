/**
 * The demo: a shop whose checkout is one transaction over three services, on a replica set of three. There is a rush of
 * customers, the primary is killed in it, and then comes a proof that the books are right.
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
import * as Members from "./members.js"
import * as Monitor from "./Monitor.js"
import { Orders } from "./Orders.js"
import * as OutageClaims from "./outageClaims.js"
import { Payments } from "./Payments.js"
import * as Release from "./release.js"
import * as Report from "./report.js"
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
  const { outage, time } = yield* rush
  yield* Report.tell(time, outage)
  yield* Books.audit
  yield* OutageClaims.check(outage)
  yield* Screen.heading("6. Everything is released, and nothing is left")
  return yield* Release.holdings
})

/** Everything that needs the servers. Gives those that were seen. */
const withServers = Effect.gen(function*() {
  const { description, kind } = yield* MongoServer.MongoServer
  const before = yield* Members.running
  yield* Screen.fact("server", `${description}, kind "${kind}"`)
  for (const { host, pid } of before) yield* Screen.fact("", `${host}, process ${pid}`)
  const holdings = yield* day.pipe(Effect.scoped, Effect.provide(ShopLive))
  yield* Release.checkClient(holdings, before.length > 0)
  return [...before, ...yield* Members.running]
})

const demo = Effect.gen(function*() {
  yield* Screen.heading("effect-mongo-session")
  const folder = yield* temporaryFolder
  const servers = yield* withServers.pipe(Effect.provide(MongoServer.layer({ members: 3 })))
  yield* Release.checkServers(servers, folder)
  const { failed, made } = yield* Screen.score
  yield* Screen.heading(`${made - failed.length} of ${made} claims hold, after ${process.uptime().toFixed(1)} s`)
  // Again, where a reader of nothing but the end, or of the errors alone, finds them.
  if (failed.length > 0) yield* Console.error(`not so: ${failed.join("; not so: ")}`)
  return failed.length === 0
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
