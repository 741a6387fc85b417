/**
 * A network that can die: it forwards to a server until it is told to swallow everything, as a firewall does that drops
 * packets. Connections stay open, new ones are accepted, and nothing ever comes back.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"

/** A network in front of a server. */
export interface Network {
  readonly port: number
  /** From now on nothing gets through. */
  readonly die: Effect.Effect<void>
  /** How many connections clients have open to it. */
  readonly connections: Effect.Effect<number>
}

/** Starts a network in front of the port of a server; without one it is dead from the start. */
export const make = (target?: number): Effect.Effect<Network, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Network & { readonly close: () => Promise<void> }>((resume) => {
      const clients = new Set<Net.Socket>()
      const servers = new Set<Net.Socket>()
      let isDead = target === undefined
      const net = Net.createServer((client) => {
        clients.add(client)
        client.once("close", () => clients.delete(client)).on("error", () => client.destroy())
        if (isDead || target === undefined) return void client.resume()
        const server = Net.connect(target, "127.0.0.1")
        servers.add(server)
        server.once("close", () => servers.delete(server)).on("error", () => server.destroy())
        client.on("data", (bytes) => isDead || server.write(bytes)).once("close", () => server.destroy())
        server.on("data", (bytes) => isDead || client.write(bytes)).once("close", () => isDead || client.destroy())
      })
      net.listen(0, "127.0.0.1", () => {
        const address = net.address()
        resume(Effect.succeed({
          port: typeof address === "object" && address !== null ? address.port : 0,
          die: Effect.sync(() => void (isDead = true)),
          connections: Effect.sync(() => clients.size),
          close: () =>
            new Promise((resolve) => {
              net.close(() => resolve())
              for (const socket of [...clients, ...servers]) socket.destroy()
            })
        }))
      })
    }),
    (network) => Effect.promise(network.close)
  )
