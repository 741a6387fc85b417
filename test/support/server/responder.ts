/**
 * A scripted server: it plays the deployments that no real server here can be, holds replies back for as long as a
 * test likes, and remembers every command as it came over the wire.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Document } from "mongodb"
import { Binary, Timestamp } from "mongodb"
import * as Net from "node:net"
import * as Replies from "./responderReplies.js"
import * as Wire from "./wire.js"

/** A command as it came over the wire. */
export interface Received {
  /** Its place among all commands and replies of this server: a clock that never stands still. */
  readonly at: number
  readonly connectionId: number
  readonly name: string
  readonly command: Document
  /** The place of its reply, or of the closing of its connection; `undefined` as long as there was none. */
  readonly repliedAt: number | undefined
}

/** What is answered: a document, or nothing because the connection is closed, or nothing for ever. */
export type Reply = { readonly [field: string]: unknown } | "close" | "hang"

/** Decides on the reply to a command; `count` is how many of this name came before it. */
export type Handler = (
  command: Document,
  context: { readonly connectionId: number; readonly count: number }
) => Reply | Effect.Effect<Reply>

/** Options of {@link make}. */
export interface Options {
  /** Laid over the reply to `hello`; `undefined` takes a field away. */
  readonly hello?: Document | undefined
  /** By name of the command. What is not a function is encoded once, and answered without looking at the command. */
  readonly handlers?: Readonly<Record<string, Handler | Reply>> | undefined
  /** The port. Default: a free one. */
  readonly port?: number | undefined
  /** Whether commands are remembered. Default `true`; without it the server is fast enough to measure clients with. */
  readonly record?: boolean | undefined
}

/** A running responder. */
export interface Responder {
  readonly url: string
  readonly port: number
  /** All commands so far but those by which drivers watch servers (`hello`, and its older names). */
  readonly commands: Effect.Effect<ReadonlyArray<Received>>
  /** All commands of this name so far. */
  readonly named: (name: string) => Effect.Effect<ReadonlyArray<Received>>
  /** Waits until `count` commands of this name have come; gives the last of them. */
  readonly awaitCommand: (name: string, count?: number) => Effect.Effect<Received>
  /** Pairs of commands with the same lsid, the second of which came before the first was answered. */
  readonly overlaps: Effect.Effect<ReadonlyArray<readonly [Received, Received]>>
  /** Forgets the commands so far. */
  readonly clear: Effect.Effect<void>
  /** Replaces the handler of a command. */
  readonly on: (name: string, handler: Handler | Reply) => Effect.Effect<void>
  /** How many connections are open. */
  readonly connections: Effect.Effect<number>
  /** How many connections were ever opened. */
  readonly accepted: Effect.Effect<number>
  /** Closes all connections, as a server does that goes down. */
  readonly disconnect: Effect.Effect<void>
}

/** Starts a responder; the scope stops it. */
export const make = (options: Options = {}): Effect.Effect<Responder, never, Scope.Scope> =>
  Effect.gen(function*() {
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => new Server(options)),
      (server) => Effect.promise(() => server.close())
    )
    const port = yield* Effect.promise(() => server.listen(options.port ?? 0))
    const setName = server.setName
    return {
      port,
      url: `mongodb://127.0.0.1:${port}/${setName === undefined ? "" : `?replicaSet=${setName}`}`,
      commands: Effect.sync(() => server.received.slice()),
      named: (name) => Effect.sync(() => server.received.filter((one) => one.name === name)),
      awaitCommand: (name, count = 1) => server.awaitCommand(name, count),
      overlaps: Effect.sync(() => overlapsOf(server.received)),
      clear: Effect.sync(() => server.clear()),
      on: (name, handler) => Effect.sync(() => server.on(name, handler)),
      connections: Effect.sync(() => server.sockets.size),
      accepted: Effect.sync(() => server.accepted),
      disconnect: Effect.sync(() => server.sockets.forEach((socket) => socket.destroy()))
    }
  })

/** Pairs of commands of one logical session of which the second came before the first was answered. */
export const overlapsOf = (received: ReadonlyArray<Received>): ReadonlyArray<readonly [Received, Received]> => {
  const open = new Map<string, Array<Received>>()
  const pairs: Array<readonly [Received, Received]> = []
  for (const one of received) {
    const lsid = lsidOf(one.command)
    if (lsid === undefined) continue
    const running = (open.get(lsid) ?? []).filter((other) => (other.repliedAt ?? Number.POSITIVE_INFINITY) > one.at)
    for (const other of running) pairs.push([other, one])
    open.set(lsid, [...running, one])
  }
  return pairs
}

/** The logical session of a command in hexadecimal, if it has one. */
export const lsidOf = (command: Document): string | undefined => {
  const id: unknown = command["lsid"]?.id
  return id instanceof Binary ? Buffer.from(id.buffer).toString("hex") : undefined
}

type Answer = Wire.Encoded | "close" | "hang"

const isHandler = (handler: Handler | Reply): handler is Handler => typeof handler === "function"

const isEffect = (reply: Reply | Effect.Effect<Reply>): reply is Effect.Effect<Reply> => Effect.isEffect(reply)

const watching = new Set(["hello", "ismaster", "isMaster"])

interface Mutable extends Received {
  repliedAt: number | undefined
}

class Server {
  readonly sockets = new Set<Net.Socket>()
  private readonly handlers = new Map<string, Answer | Handler>()
  readonly received: Array<Mutable> = []
  readonly setName: string | undefined
  private readonly counts = new Map<string, number>()
  private readonly waiting: Array<{ name: string; count: number; found: Deferred.Deferred<Received> }> = []
  private readonly fibers = new Set<Fiber.RuntimeFiber<Reply>>()
  private readonly hello: Document
  private readonly record: boolean
  private readonly net = Net.createServer({ noDelay: true }, (socket) => this.accept(socket))
  private tick = 0
  private time = Timestamp.fromBits(1, 1_700_000_000)
  accepted = 0
  private port = 0

  constructor(options: Options) {
    this.hello = { ...Replies.hello, ...options.hello }
    this.setName = this.hello["setName"]
    this.record = options.record ?? true
    for (const [name, handler] of Object.entries({ ...Replies.handlers, ...options.handlers })) {
      this.on(name, handler)
    }
  }

  on(name: string, handler: Handler | Reply): void {
    this.handlers.set(name, isHandler(handler) ? handler : this.complete(handler))
  }

  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.net.once("error", reject)
      this.net.listen(port, "127.0.0.1", () => {
        const address = this.net.address()
        this.port = typeof address === "object" && address !== null ? address.port : 0
        resolve(this.port)
      })
    })
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await Effect.runPromise(Fiber.interruptAll(this.fibers))
    await new Promise((resolve) => this.net.close(resolve))
  }

  clear(): void {
    this.received.length = 0
    this.counts.clear()
  }

  awaitCommand(name: string, count: number): Effect.Effect<Received> {
    return Effect.suspend(() => {
      const found = this.received.filter((one) => one.name === name)[count - 1]
      if (found !== undefined) return Effect.succeed(found)
      const waiting = { name, count, found: Effect.runSync(Deferred.make<Received>()) }
      this.waiting.push(waiting)
      return Deferred.await(waiting.found)
    })
  }

  private accept(socket: Net.Socket): void {
    const connectionId = ++this.accepted
    const reader = new Wire.Reader()
    this.sockets.add(socket)
    socket.once("close", () => {
      this.sockets.delete(socket)
      for (const one of this.received) {
        if (one.connectionId === connectionId && one.repliedAt === undefined) one.repliedAt = ++this.tick
      }
    })
    // a client that goes away is no failure of this server; "close" follows
    socket.on("error", () => socket.destroy())
    socket.on("data", (bytes) => {
      for (const message of reader.push(bytes)) this.handle(socket, connectionId, message)
    })
  }

  private handle(socket: Net.Socket, connectionId: number, message: Wire.Message): void {
    if (watching.has(message.name)) {
      return this.send(socket, message, Wire.encode(this.helloReply(connectionId)), undefined)
    }
    const handler = this.handlers.get(message.name)
    const count = this.counts.get(message.name) ?? 0
    this.counts.set(message.name, count + 1)
    const received = this.record ? this.remember(connectionId, message, count + 1) : undefined
    if (handler === undefined) {
      return this.answer(socket, message, this.complete(Replies.notFound(message.name)), received)
    }
    if (typeof handler !== "function") return this.answer(socket, message, handler, received)
    const reply = handler(received?.command ?? message.command(), { connectionId, count })
    if (!isEffect(reply)) return this.answer(socket, message, this.complete(reply), received)
    const fiber = Effect.runFork(reply)
    this.fibers.add(fiber)
    fiber.addObserver((exit) => {
      this.fibers.delete(fiber)
      if (exit._tag === "Success") this.answer(socket, message, this.complete(exit.value), received)
      else socket.destroy()
    })
  }

  private answer(
    socket: Net.Socket,
    message: Wire.Message,
    reply: Answer,
    received: Mutable | undefined
  ): void {
    if (reply === "hang") return
    if (reply === "close") {
      socket.destroy()
      return
    }
    this.send(socket, message, reply, received)
  }

  private send(
    socket: Net.Socket,
    message: Wire.Message,
    document: Wire.Encoded,
    received: Mutable | undefined
  ): void {
    if (received !== undefined) received.repliedAt ??= ++this.tick
    if (!message.isUnacknowledged && !socket.destroyed) socket.write(Wire.reply(message, document))
  }

  private remember(connectionId: number, message: Wire.Message, count: number): Mutable {
    const one: Mutable = {
      at: ++this.tick,
      connectionId,
      name: message.name,
      command: message.command(),
      repliedAt: undefined
    }
    this.received.push(one)
    for (const waiting of this.waiting.filter((each) => each.name === one.name && each.count === count)) {
      Deferred.unsafeDone(waiting.found, Effect.succeed(one))
      this.waiting.splice(this.waiting.indexOf(waiting), 1)
    }
    return one
  }

  private complete(reply: Reply): Answer {
    if (typeof reply === "string") return reply
    this.time = Timestamp.fromBits(this.time.low + 1, this.time.high)
    return Wire.encode({ ok: 1, ...this.times(), ...reply })
  }

  // only members of replica sets keep logical time
  private times(): Document {
    return this.setName === undefined ? {} : { $clusterTime: Replies.clusterTime(this.time), operationTime: this.time }
  }

  private helloReply(connectionId: number): Document {
    const address = `127.0.0.1:${this.port}`
    const inSet = this.setName === undefined ? {} : { hosts: [address], primary: address, me: address, setVersion: 1 }
    return { ...inSet, connectionId, localTime: new Date(), ...this.times(), ...this.hello }
  }
}
