/** Part 5: everything is released, and nothing is left. */
import { MongoClient } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as FileSystem from "node:fs"
import * as Net from "node:net"
import * as Monitor from "./Monitor.js"
import * as Screen from "./Screen.js"
import * as Shop from "./shop.js"

/** What the demo holds, still open or not any more. */
export const holdings = Effect.gen(function*() {
  const { openSessions } = yield* MongoClient.MongoClient
  return { openSessions, wereOpen: yield* openSessions }
})

export type Holdings = Effect.Effect.Success<typeof holdings>

/** After the scope of client and sessions was closed, with the server still there to be asked. */
export const checkClient = ({ openSessions, wereOpen }: Holdings, server: Server) =>
  Effect.gen(function*() {
    const open = yield* openSessions
    yield* Screen.check(`open sessions: ${wereOpen} before, ${open} now`, wereOpen === Shop.fibers && open === 0)

    const { connections } = yield* Monitor.Monitor
    yield* Screen.check(
      `connections in use: ${connections.inUse}, after ${Screen.count(connections.taken)} uses`,
      connections.taken > 0 && connections.inUse === 0
    )

    const commands = yield* Monitor.commands
    const used = new Set(commands.flatMap(({ lsid }) => lsid === undefined ? [] : [lsid]))
    const ended = new Set(commands.flatMap(({ ids, name }) => name === "endSessions" ? ids : []))
    // The driver gives such a session up, for nobody knows what the server still does in it.
    const broken = new Set(commands.flatMap(({ lsid, problem }) => problem === "NoAnswer" ? [lsid] : []))
    const untold = [...used].filter((id) => !ended.has(id))
    yield* Screen.check(
      `of ${used.size} sessions that the server had heard of, it was told the end of ${used.size - untold.length}; ` +
        `of the others, ${untold.length}, the connection had broken`,
      used.size >= Shop.fibers && untold.every((id) => broken.has(id))
    )

    // Another program may have cursors on a server that is not the demo's own.
    if (server.own !== undefined) {
      const cursors = Effect.map(serverStatus, (status) => Number(status["metrics"].cursor.open.total))
      yield* Screen.check("the server says that it has no open cursor", yield* soon(cursors, (open) => open === 0))
    }
  })

/** After the scope of the server was closed, too. */
export const checkServer = ({ own }: Server, temporaryFolder: string) =>
  Effect.gen(function*() {
    if (own === undefined) {
      yield* Screen.say("The server is not the demo's own and runs on; the database of the demo was dropped.")
    } else {
      const alive = Effect.sync(() => isAlive(own.pid))
      yield* Screen.check(`the server's process ${own.pid} is gone`, yield* soon(alive, (alive) => !alive))
      yield* Screen.check(`nobody listens at ${own.host}`, yield* soon(accepts(own.host), (accepts) => !accepts))
    }
    const files = Effect.sync(() => FileSystem.readdirSync(temporaryFolder))
    yield* Screen.check("the folder for temporary files is empty", yield* soon(files, (files) => files.length === 0))
    const held = Effect.sync(() => process.getActiveResourcesInfo().filter((name) => resources.includes(name)))
    yield* Screen.check(
      "this program has no socket and no child process",
      yield* soon(held, (held) => held.length === 0)
    )
  })

/** The server, and what is to be gone with it, if it is the demo's own. */
export const server = Effect.gen(function*() {
  const { description, kind, url } = yield* MongoServer.MongoServer
  const own = kind === "uri" ? undefined : { pid: Number((yield* serverStatus)["pid"]), host: new URL(url).host }
  return { description, kind, own }
})

export type Server = Effect.Effect.Success<typeof server>

const resources: ReadonlyArray<string> = ["TCPSocketWrap", "TCPServerWrap", "ProcessWrap"]

const serverStatus = Effect.gen(function*() {
  const { url } = yield* MongoServer.MongoServer
  const client = yield* MongoClient.make({ url: Redacted.make(url) })
  return yield* client.adminCommand({ serverStatus: 1 })
}).pipe(Effect.scoped)

// Sockets and processes take a moment to go.
const soon = <A, E, R>(look: Effect.Effect<A, E, R>, isSo: (found: A) => boolean) =>
  look.pipe(
    Effect.filterOrFail(isSo),
    Effect.retry(Schedule.spaced("20 millis").pipe(Schedule.upTo("3 seconds"))),
    Effect.isSuccess
  )

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const accepts = (host: string): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const { hostname, port } = new URL(`tcp://${host}`)
    const socket = Net.connect({ host: hostname, port: Number(port) })
    const answer = (accepted: boolean) => {
      socket.destroy()
      resume(Effect.succeed(accepted))
    }
    socket.once("connect", () => answer(true)).once("error", () => answer(false))
    return Effect.sync(() => socket.destroy())
  })
