// What stands before the instances: passes each request on to the next of them. Of one that takes no connection it passes the
// request on to the next one, for nothing was sent then.
import { Effect } from "effect"
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

/** Listens on a port, and gives its URL. The scope ends it, with all connections. */
export const start = (instances: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly stop: () => void }>((resume) => {
      let turn = 0
      const pass = (incoming: IncomingMessage, outgoing: ServerResponse, body: Buffer, tries: number) => {
        const { headers, method, url = "/" } = incoming
        const target = instances[turn++ % instances.length]
        const call = request(`${target}${url}`, { method, headers }, (answer) => {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
          answer.pipe(outgoing)
          answer.on("error", () => outgoing.destroy())
        })
        call.on("error", (error: NodeJS.ErrnoException) => {
          if (outgoing.headersSent) outgoing.destroy()
          else if (error.code === "ECONNREFUSED" && tries > 1) pass(incoming, outgoing, body, tries - 1)
          else outgoing.writeHead(502).end()
        })
        outgoing.on("close", () => call.destroy())
        call.end(body)
      }
      const server = createServer((incoming, outgoing) => {
        const parts: Array<Buffer> = []
        incoming.on("data", (part: Buffer) => parts.push(part))
        incoming.on("end", () => pass(incoming, outgoing, Buffer.concat(parts), instances.length))
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        const stop = () => {
          server.close()
          server.closeAllConnections()
        }
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, stop }))
      })
    }),
    ({ stop }) => Effect.sync(stop)
  ).pipe(Effect.map(({ url }) => url))
