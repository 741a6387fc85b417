/** Part 6: everything is released, and nothing is left. */
import { MongoClient } from "effect-mongo-session"
import * as Effect from "effect/Effect"
import * as FileSystem from "node:fs"
import * as Net from "node:net"
import * as Members from "./members.js"
import * as Monitor from "./Monitor.js"
import * as Screen from "./Screen.js"
import * as Shop from "./shop.js"
import { soon } from "./soon.js"

/** What the demo holds, still open or not any more. */
export const holdings = Effect.gen(function*() {
  const { openSessions } = yield* MongoClient.MongoClient
  return { openSessions, wereOpen: yield* openSessions }
})

export type Holdings = Effect.Effect.Success<typeof holdings>

/** After the scope of client and sessions was closed, with the server still there to be asked. */
export const checkClient = ({ openSessions, wereOpen }: Holdings, isOwn: boolean) =>
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
    // Such a session is given up, for nobody knows what the server still does in it: a command was not answered, or an abort got no
    // connection, as when others have just broken.
    const broken = new Set(commands.flatMap(({ lsid, problem }) => problem === "NoAnswer" ? [lsid] : []))
    const untold = [...used].filter((id) => !ended.has(id))
    yield* Screen.check(
      `of ${used.size} sessions that the server had heard of, it was told the end of ${used.size - untold.length}; ` +
        `of the others, ${untold.length}, the connection had broken, or there was none`,
      used.size >= Shop.fibers && untold.filter((id) => !broken.has(id)).length <= connections.refused
    )

    if (isOwn) {
      yield* Screen.check(
        "the members have no cursor and no transaction open",
        yield* soon(Members.openWork, (open) => open === 0)
      )
    }
  })

/** After the scope of the servers was closed, too. */
export const checkServers = (servers: ReadonlyArray<Members.Running>, temporaryFolder: string) =>
  Effect.gen(function*() {
    if (servers.length === 0) {
      yield* Screen.say("The server is not the demo's own and runs on; the database of the demo was dropped.")
    } else {
      const pids = [...new Set(servers.map(({ pid }) => pid))]
      const hosts = [...new Set(servers.map(({ host }) => host))]
      const alive = Effect.sync(() => pids.filter(isAlive))
      yield* Screen.check(`the processes ${pids.join(", ")} are gone`, yield* soon(alive, ({ length }) => length === 0))
      const listening = Effect.filter(hosts, accepts, { concurrency: "unbounded" })
      yield* Screen.check(`nobody listens at ${hosts.join(", ")}`, yield* soon(listening, ({ length }) => length === 0))
    }
    const folders = servers.map(({ folder }) => folder)
    const files = Effect.sync(() => [...folders.filter(isThere), ...FileSystem.readdirSync(temporaryFolder)])
    yield* Screen.check(
      "their data and all temporary files are gone",
      yield* soon(files, (files) => files.length === 0)
    )
    const held = Effect.sync(() => process.getActiveResourcesInfo().filter((name) => resources.includes(name)))
    yield* Screen.check(
      "this program has no socket and no child process",
      yield* soon(held, (held) => held.length === 0)
    )
  })

const resources: ReadonlyArray<string> = ["TCPSocketWrap", "TCPServerWrap", "ProcessWrap"]

const isThere = (path: string): boolean => FileSystem.existsSync(path)

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
