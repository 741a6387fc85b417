/**
 * A network between a client and a server that a test can slow down and cut. Nothing of what is sent gets lost: what was
 * held back comes late, as TCP would repeat it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"

/** A network in front of one server. */
export interface Proxy {
  readonly port: number
  /** How many milliseconds each piece of data takes from now on, in both directions; asked for each anew. */
  readonly slow: (delay: () => number) => Effect.Effect<void>
  /** From now on nothing gets through, and new connections lead nowhere. */
  readonly cut: Effect.Effect<void>
  /** From now on everything gets through, also what was held back. */
  readonly mend: Effect.Effect<void>
}

/** Starts a network in front of the port of a server on this machine. */
export const make = (target: number): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Proxy & { readonly close: () => Promise<void> }>((resume) => {
      const sockets = new Set<Net.Socket>()
      let isCut = false
      let delay = (): number => 0

      const keep = (socket: Net.Socket): Net.Socket => {
        sockets.add(socket)
        if (isCut) socket.pause()
        return socket.setNoDelay(true).once("close", () => sockets.delete(socket)).on("error", () => socket.destroy())
      }
      // Pieces keep their order, whatever each of them takes.
      const forward = (from: Net.Socket, to: Net.Socket): void => {
        let last = Promise.resolve()
        const later = (deed: () => void): void => {
          const due = performance.now() + delay()
          last = last.then(async () => {
            const rest = due - performance.now()
            if (rest > 0) await new Promise((wake) => setTimeout(wake, rest))
            deed()
          })
        }
        from.on("data", (bytes) => later(() => to.destroyed || to.write(bytes)))
        from.once("close", () => later(() => to.destroy()))
      }
      const net = Net.createServer((client) => {
        keep(client)
        const server = keep(Net.connect(target, "127.0.0.1"))
        forward(client, server)
        forward(server, client)
      })
      net.listen(0, "127.0.0.1", () => {
        const address = net.address()
        resume(Effect.succeed({
          port: typeof address === "object" && address !== null ? address.port : 0,
          slow: (millis) => Effect.sync(() => void (delay = millis)),
          cut: Effect.sync(() => {
            isCut = true
            for (const socket of sockets) socket.pause()
          }),
          mend: Effect.sync(() => {
            isCut = false
            for (const socket of sockets) socket.resume()
          }),
          close: () =>
            new Promise((done) => {
              net.close(() => done())
              for (const socket of sockets) socket.destroy()
            })
        }))
      })
    }),
    ({ close }) => Effect.promise(close)
  )
