/**
 * A network in front of a server, which a test can slow down, hold, refuse and cut, for all connections or for those of some
 * clients or members only. Nothing of what is held gets lost: it comes late, as TCP would repeat it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import * as Wire from "./wire.js"

/** Where a connection comes from, as the first message on it tells. */
export interface Source {
  /** The `appName` of a driver's client. */
  readonly appName: string | undefined
  /** The port of a member of a set; a mongod tells it where test commands are enabled. */
  readonly member: number | undefined
}

/** What the network does to the connections of a source. Each is off where it is absent. */
export interface Weather {
  /** How many milliseconds each piece of data takes, in both directions; asked for each anew. */
  readonly delay?: (() => number) | undefined
  /** How many bytes at most get through at once; the next ones take a millisecond more. */
  readonly drip?: number | undefined
  /** Nothing gets through, connections stay open, and new ones lead nowhere. */
  readonly isHeld?: boolean | undefined
  /** Connections are reset, new ones too. */
  readonly isRefused?: boolean | undefined
}

/** The connection is cut before a request has come to the server, or when the server answers it. */
export type Cut = "request" | "reply"

/** A network in front of one server. */
export interface Proxy {
  readonly port: number
  /** From now on the network is like this. */
  readonly weather: (of: (source: Source) => Weather) => Effect.Effect<void>
  /** From now on connections are cut at these commands of drivers. */
  readonly cutAt: (of: (source: Source, command: string) => Cut | undefined) => Effect.Effect<void>
  /** {@link Weather.delay} for all. */
  readonly slow: (delay: () => number) => Effect.Effect<void>
  /** {@link Weather.isHeld} for all. */
  readonly cut: Effect.Effect<void>
  /** From now on everything gets through, also what was held back. */
  readonly mend: Effect.Effect<void>
}

/** Starts a network in front of the port of a server on this machine. */
export const make = (target: number): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Proxy & { readonly close: () => Promise<void> }>((resume) => {
      const connections = new Set<Connection>()
      const rules: Rules = { weather: () => ({}), cutAt: () => undefined }
      const net = Net.createServer((client) => {
        const connection = new Connection(client, Net.connect(target, "127.0.0.1"), rules)
        connections.add(connection)
        client.once("close", () => connections.delete(connection))
      })
      const weather = (of: Rules["weather"]): Effect.Effect<void> =>
        Effect.sync(() => {
          rules.weather = of
          for (const connection of connections) connection.changed()
        })
      net.listen(0, "127.0.0.1", () => {
        const address = net.address()
        resume(Effect.succeed({
          port: typeof address === "object" && address !== null ? address.port : 0,
          weather,
          cutAt: (of) => Effect.sync(() => void (rules.cutAt = of)),
          slow: (delay) => weather(() => ({ delay })),
          cut: weather(() => ({ isHeld: true })),
          mend: weather(() => ({})),
          close: () =>
            new Promise((done) => {
              net.close(() => done())
              for (const connection of connections) connection.end()
            })
        }))
      })
    }),
    ({ close }) => Effect.promise(close)
  )

interface Rules {
  weather: (source: Source) => Weather
  cutAt: (source: Source, command: string) => Cut | undefined
}

class Connection {
  readonly #client: Net.Socket
  readonly #server: Net.Socket
  readonly #rules: Rules
  // Unknown until the first message is complete.
  #source: Source = { appName: undefined, member: undefined }
  // None where nothing more is to be read: members compress what they send.
  #reader: Wire.Reader | undefined = new Wire.Reader()
  #isFirst = true
  #isCutAtReply = false
  #waiting: Array<() => void> = []

  constructor(client: Net.Socket, server: Net.Socket, rules: Rules) {
    this.#client = ready(client)
    this.#server = ready(server)
    this.#rules = rules
    this.#forward(client, server, (bytes) => this.#isCutAtRequest(bytes))
    this.#forward(server, client, () => this.#isCutAtReply)
  }

  /** The weather has changed. */
  changed(): void {
    const { isHeld, isRefused } = this.#weather
    if (isRefused === true) this.#reset()
    if (isHeld === true) return
    for (const wake of this.#waiting.splice(0)) wake()
  }

  end(): void {
    this.#client.destroy()
    this.#server.destroy()
    for (const wake of this.#waiting.splice(0)) wake()
  }

  get #weather(): Weather {
    return this.#rules.weather(this.#source)
  }

  #reset(): void {
    this.#client.resetAndDestroy()
    this.#server.resetAndDestroy()
  }

  // Pieces keep their order, whatever each of them takes.
  #forward(from: Net.Socket, to: Net.Socket, isCut: (bytes: Buffer) => boolean): void {
    let last = Promise.resolve()
    const later = (delay: number, deed: () => void): void => {
      const due = performance.now() + delay
      last = last.then(async () => {
        const rest = due - performance.now()
        if (rest > 0) await new Promise((wake) => setTimeout(wake, rest))
        while (this.#weather.isHeld === true && !to.destroyed) {
          await new Promise<void>((wake) => this.#waiting.push(wake))
        }
        deed()
      })
    }
    from.on("data", (bytes) => {
      if (isCut(bytes)) return this.#reset()
      const { delay, drip = bytes.length } = this.#weather
      const time = delay?.() ?? 0
      for (let at = 0, drop = 0; at < bytes.length; at += drip, drop++) {
        later(time + drop, () => to.destroyed || to.write(bytes.subarray(at, at + drip)))
      }
    })
    from.once("close", () => later(this.#weather.delay?.() ?? 0, () => to.destroy()))
  }

  #isCutAtRequest(bytes: Buffer): boolean {
    for (const message of this.#reader?.push(bytes) ?? []) {
      if (this.#isFirst) {
        this.#isFirst = false
        this.#source = sourceOf(message)
        if (this.#source.member !== undefined) this.#reader = undefined
        if (this.#weather.isRefused === true) return true
      }
      const cut = this.#rules.cutAt(this.#source, message.name)
      if (cut === "request") return true
      if (cut === "reply") this.#isCutAtReply = true
    }
    return false
  }
}

const ready = (socket: Net.Socket): Net.Socket => socket.setNoDelay(true).on("error", () => socket.destroy())

const sourceOf = (message: Wire.Message): Source => {
  const { client, hostInfo } = message.command()
  const name: unknown = client?.application?.name
  const port = typeof hostInfo === "string" ? Number(hostInfo.slice(hostInfo.lastIndexOf(":") + 1)) : undefined
  return { appName: typeof name === "string" ? name : undefined, member: port }
}
