/**
 * The test of the whole: two instances as processes behind a front, real HTTP, on a replica set of three.
 *
 *     npm test -- --seconds 20 --clients 64 --screenshot page.png --log instances.log --no-browser
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import * as Instance from "../local/instance.js"
import * as Books from "./books.js"
import * as Browser from "./browser.js"
import * as Collector from "./collector.js"
import * as Draining from "./draining.js"
import * as Front from "./front.js"
import * as Load from "./load.js"
import * as Outage from "./outage.js"
import * as Reads from "./reads.js"
import * as Refusals from "./refusals.js"
import { fact, heading, Report, ReportLive } from "./report.js"
import * as Shop from "./shop.js"

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "20" },
    clients: { type: "string", default: "64" },
    screenshot: { type: "string" },
    log: { type: "string" },
    "no-browser": { type: "boolean", default: false }
  }
})
const size: Shop.Size = { seconds: Number(values.seconds), clients: Number(values.clients) }

/** What the instances say: printed when something is wrong, and written to a file if one is named. */
const log: Array<string> = []

const test = Effect.gen(function*() {
  const { description } = yield* MongoServer.MongoServer
  const collector = yield* Collector.start
  const instance = (name: string) =>
    Instance.start({
      port: 0,
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
      log: (line) => log.push(`${name}: ${line}`),
      // A busy machine has both secondaries read from all the same.
      urlOptions: "&localThresholdMS=1000"
    })
  const [first, second] = yield* Effect.all([instance("first"), instance("second")], { concurrency: "unbounded" })
  const front = yield* Front.start([first.url, second.url])
  yield* Shop.fill
  yield* heading("The shop")
  yield* fact(`${description}; instances at ${first.url} and ${second.url}, the front at ${front}`)

  yield* heading(`${size.clients} clients order for ${size.seconds} s, and the primary is killed in the middle`)
  const ledger = new Load.Ledger()
  yield* Effect.all([Load.run(front, ledger, size), Outage.happen(ledger, size.seconds / 2)], { concurrency: 2 })
  yield* heading("The books")
  yield* Books.audit(ledger)

  yield* heading("Read your writes, on secondaries")
  yield* Reads.check(first.url, second.url)

  yield* heading("Bodies that are not taken")
  yield* Refusals.check(first.url, log)

  yield* heading("The page, in a browser")
  yield* values["no-browser"] ? fact("skipped: --no-browser") : Browser.check(front, values.screenshot)

  yield* heading("Telemetry")
  yield* Collector.check(collector)

  yield* heading("The end of an instance")
  yield* Draining.check(first, second.url, log)
}).pipe(
  Effect.scoped,
  Effect.provide(MongoServer.layerClient({ members: 3, client: { database: "shop" } }))
)

const program = Effect.gen(function*() {
  yield* test
  const { broken, made } = yield* Effect.flatMap(Report, ({ score }) => score)
  yield* heading(`${made - broken} of ${made} claims hold, after ${process.uptime().toFixed(0)} s`)
  if (broken > 0) return yield* Effect.fail(`${broken} claims do not hold`)
}).pipe(
  Effect.tapErrorCause(() => Effect.sync(() => console.error(log.slice(-60).join("\n")))),
  Effect.ensuring(Effect.sync(() => values.log === undefined ? undefined : writeFileSync(values.log, log.join("\n")))),
  Effect.provide(ReportLive)
)

NodeRuntime.runMain(program)
