/**
 * Processes that run outside of this one, with a folder for what they write: started, told signals and waited for by
 * this process or by another one that knows the keeper's address; ended with the scope and with this process.
 */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import * as FileSystem from "node:fs"
import * as Net from "node:net"
import * as OperatingSystem from "node:os"
import * as Path from "node:path"
import * as Readline from "node:readline"
import * as Child from "./child.js"
import * as Program from "./keeperProgram.js"
import * as Owner from "./owner.js"

/** A keeper that runs. */
export interface Keeper {
  readonly address: Address
  /** Starts a process. Its output goes to a file of the folder. */
  readonly start: (process: Process) => Effect.Effect<void, KeeperLost>
  /** Sends a signal, or none (0); says whether the process runs. */
  readonly signal: (name: string, signal: NodeJS.Signals | 0) => Effect.Effect<boolean, KeeperLost>
  /** Waits for the end of a process. */
  readonly ended: (name: string) => Effect.Effect<Child.Ending, KeeperLost>
}

/** What another process needs to know of a keeper. */
export interface Address {
  readonly home: string
  readonly control: string
}

/** A process to start. */
export interface Process {
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Whether it may take 8 seconds to end in order when the keeper stops. Default: it is killed. */
  readonly patient?: boolean
}

/** The keeper does not answer: it has ended, or could not be started. */
export class KeeperLost extends Data.TaggedError("KeeperLost")<{ readonly reason: string }> {
  override get message(): string {
    return `the process that keeps the servers does not answer: ${this.reason}`
  }
}

/** Starts a keeper with a new folder below `parent`. The scope ends it, with its processes and its folder. */
export const make = (parent: string): Effect.Effect<Keeper, KeeperLost, Scope.Scope> =>
  Effect.gen(function*() {
    removeLeftovers(parent)
    const name = `${prefix}${randomUUID().slice(0, 8)}`
    const home = yield* Effect.acquireRelease(
      // the keeper makes it: so there is no moment in which it exists and nobody would remove it
      Effect.sync(() => Path.join(parent, name)),
      (path) =>
        Effect.sync(() => {
          // where the parent is no folder there is nothing, and even then removing fails
          if (FileSystem.existsSync(path)) FileSystem.rmSync(path, { recursive: true, force: true, maxRetries: 3 })
        })
    )
    const control = controlOf(name)
    const child = yield* Child.start({
      command: process.execPath,
      args: ["-e", Program.program],
      ready: /^ready$/,
      grace: "20 seconds"
    })
    const order: Program.Order = { home, control, namespace: Owner.namespace(), wrapper: yield* findWrapper }
    yield* child.send(`${JSON.stringify(order)}\n`)
    yield* Effect.mapError(child.ready, (ended) =>
      new KeeperLost({ reason: [ended.message, ...ended.output].join("; ") }))
    return at({ home, control })
  })

/** A keeper that some process has started. */
export const at = (address: Address): Keeper => {
  const { control } = address
  return {
    address,
    start: ({ args, command, env = {}, name, patient = false }) =>
      Effect.asVoid(ask(control, { verb: "start", name, command, args, env, patient })),
    signal: (name, signal) => Effect.map(ask(control, { verb: "signal", name, signal }), (value) => value === true),
    ended: (name) => Effect.map(ask(control, { verb: "ended", name }), (value) => value as Child.Ending)
  }
}

/** The last lines that a process has written. */
export const output = ({ home }: Pick<Address, "home">, name: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(written({ home }, name), (text) => text.trimEnd().split("\n").slice(-60))

/** How many bytes a process has written; none if it has not started. */
export const sizeOf = ({ home }: Pick<Address, "home">, name: string): Effect.Effect<number> =>
  Effect.sync(() => FileSystem.statSync(logOf(home, name), { throwIfNoEntry: false })?.size ?? 0)

/** What a process has written, from that byte on. A log may be long, so no more of it is read. */
export const written = (
  { home }: Pick<Address, "home">,
  name: string,
  from = 0
): Effect.Effect<string> =>
  Effect.map(sizeOf({ home }, name), (size) => {
    if (size <= from) return ""
    const file = FileSystem.openSync(logOf(home, name), "r")
    try {
      const bytes = Buffer.alloc(size - from)
      return bytes.toString("utf8", 0, FileSystem.readSync(file, bytes, 0, bytes.length, from))
    } finally {
      FileSystem.closeSync(file)
    }
  })

const logOf = (home: string, name: string): string => Path.join(home, `${name}.log`)

const prefix = "effect-mongo-"

// A socket's path may have about a hundred characters only, so it is not in the folder, which may lie deep.
const controlOf = (name: string): string =>
  process.platform === "win32"
    ? `\\\\.\\pipe\\${name}`
    : Path.join(process.platform === "linux" ? "/tmp" : OperatingSystem.tmpdir(), `${name}.sock`)

// the keeper makes the folder if it is not there, and says why if it can't
const namesIn = (folder: string): ReadonlyArray<string> => {
  try {
    return FileSystem.readdirSync(folder)
  } catch {
    return []
  }
}

// a request has a connection of its own, so that giving one up concerns no other
const ask = (control: string, request: Program.Request): Effect.Effect<unknown, KeeperLost> =>
  Effect.scoped(Effect.gen(function*() {
    const answer = yield* Deferred.make<unknown, KeeperLost>()
    const lost = (reason: string) => Deferred.unsafeDone(answer, new KeeperLost({ reason }))
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const socket = Net.connect(control, () => void socket.write(`${JSON.stringify({ id: 1, ...request })}\n`))
        socket.on("error", (error) => lost(error.message))
        socket.on("close", () => lost("it has closed the connection"))
        const lines = Readline.createInterface({ input: socket })
        // it repeats the socket's, which is told above
        lines.on("error", () => undefined)
        lines.on("line", (line) => {
          const reply: { readonly value?: unknown; readonly problem?: string } = JSON.parse(line)
          if (reply.problem === undefined) Deferred.unsafeDone(answer, Effect.succeed(reply.value))
          else lost(reply.problem)
        })
        return socket
      }),
      (socket) => Effect.sync(() => socket.destroy())
    )
    return yield* Deferred.await(answer)
  }))

// On Linux the system itself ends a process whose keeper was killed together with the program under test. An old `setpriv`,
// or busybox's, cannot tell the system so: it is tried once, and servers start without it where that fails.
const findWrapper: Effect.Effect<ReadonlyArray<string>> = Effect.suspend(() => {
  if (process.platform !== "linux") return Effect.succeed([])
  const [command, ...args] = ["setpriv", "--pdeathsig", "KILL", "--"] as const
  return Effect.map(
    Child.run({ command, args: [...args, process.execPath, "--version"] }),
    ({ ending }) => ending.code === 0 ? [command, ...args] : []
  )
})

// what is left in memory where both this program and the keeper were killed
const removeLeftovers = (parent: string): void => {
  for (const name of namesIn(parent)) {
    if (!name.startsWith(prefix)) continue
    const home = Path.join(parent, name)
    try {
      const [pid, namespace] = ["keeper.pid", "keeper.namespace"].map((file) =>
        FileSystem.readFileSync(Path.join(home, file), "utf8")
      )
      if (!Owner.isGone(`${pid} ${namespace}`)) continue
      if (process.platform !== "win32") FileSystem.rmSync(controlOf(name), { force: true })
      FileSystem.rmSync(home, { recursive: true, force: true })
    } catch {
      // Somebody else's, being made, or being removed at this moment. Without a namespace nobody knows whose, however old it is.
    }
  }
}
