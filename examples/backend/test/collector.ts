// A collector of telemetry: it takes what instances send by OTLP, and knows the names of the spans and metrics in it.
import { Effect } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { claim } from "./report.js"
import { until } from "./until.js"

/** What came, by the path that it was sent to: `/v1/traces`, `/v1/metrics`, `/v1/logs`. */
type Received = ReadonlyMap<string, ReadonlySet<string>>

interface Collector {
  readonly url: string
  readonly received: Received
}

/** Listens on a port. The scope ends it. */
export const start = Effect.acquireRelease(
  Effect.async<Collector & { readonly stop: () => void }>((resume) => {
    const received = new Map<string, Set<string>>()
    const server = createServer((request, response) => {
      const parts: Array<Buffer> = []
      request.on("data", (part: Buffer) => parts.push(part))
      request.on("end", () => {
        const names = received.get(request.url ?? "") ?? new Set()
        received.set(request.url ?? "", names)
        for (const [, name = ""] of Buffer.concat(parts).toString().matchAll(/"name":"([^"]+)"/g)) names.add(name)
        response.writeHead(200, { "content-type": "application/json" }).end("{}")
      })
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      const stop = () => {
        server.close()
        server.closeAllConnections()
      }
      resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, received, stop }))
    })
  }),
  ({ stop }) => Effect.sync(stop)
)

const spans = ["http.server POST", "transaction", "insert shop.orders"]
const metrics = ["mongo.session.transactions", "db.client.operation.duration"]

/** Looks for what an order must have left. It comes in batches. */
export const check = ({ received }: Collector) =>
  Effect.gen(function*() {
    const has = (path: string, names: ReadonlyArray<string>) => names.every((name) => received.get(path)?.has(name))
    const isThere = Effect.sync(() => has("/v1/traces", spans) && has("/v1/metrics", metrics))
    yield* Effect.ignore(until(isThere))
    yield* claim(`spans have come by OTLP: ${spans.join(", ")}`, has("/v1/traces", spans))
    yield* claim(`metrics, too: ${metrics.join(", ")}`, has("/v1/metrics", metrics))
  })
