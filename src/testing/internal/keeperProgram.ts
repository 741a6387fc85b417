/**
 * The Node program that keeps processes and their folder for another program, and ends with it.
 *
 * It runs the processes that it is told to, in a process of its own, and stops them and removes the folder as soon as
 * its standard input is closed. So nothing outlives the program under test, however that ends.
 */

/** The first line that the program reads on its standard input, as JSON. */
export interface Order {
  /** A folder that the program makes and removes. Output of the processes goes to `<name>.log` in it. */
  readonly home: string
  /** Where the program listens for requests: a Unix socket or a named pipe. */
  readonly control: string
  /** Where the number of the program's process is known. It goes to the file `keeper.namespace`, the number to `keeper.pid`. */
  readonly namespace: string
  /** A program that is put before each command, so that the system ends the command with the keeper. */
  readonly wrapper: ReadonlyArray<string>
}

/** What the program is asked for, one JSON line each. */
export type Request =
  /** Starts a process. With `patient` it gets 8 seconds to end in order before it is killed at the end. */
  | {
    readonly verb: "start"
    readonly name: string
    readonly command: string
    readonly args: ReadonlyArray<string>
    readonly env: Readonly<Record<string, string | undefined>>
    readonly patient: boolean
  }
  | { readonly verb: "signal"; readonly name: string; readonly signal: string | number }
  /** Answered when the process has ended. */
  | { readonly verb: "ended"; readonly name: string }

/** Prints `ready` when it listens. */
export const program = `
const childProcess = require("node:child_process")
const fs = require("node:fs")
const net = require("node:net")
const path = require("node:path")

let order
let stopping = false
const kept = new Map()

// when the program under test has been killed nobody reads any longer, and that must not end this program early
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})

const start = ({ args, command, env, name, patient }) => {
  if (stopping) throw new Error("the keeper is stopping")
  const old = kept.get(name)
  if (old !== undefined && old.ending === undefined) throw new Error(name + " runs already")
  const log = fs.openSync(path.join(order.home, name + ".log"), "a")
  const [first, ...rest] = [...order.wrapper, command, ...args]
  const child = childProcess.spawn(first, rest, {
    cwd: order.home,
    env: { ...process.env, ...env },
    stdio: ["ignore", log, log],
    windowsHide: true
  })
  fs.closeSync(log)
  const entry = { child, patient, ending: undefined }
  entry.ended = new Promise((resolve) => {
    const end = (ending) => resolve(entry.ending = ending)
    child.once("error", (error) => child.pid === undefined && end({ code: null, signal: null, problem: error.message }))
    child.once("exit", (code, signal) => end({ code, signal }))
  })
  kept.set(name, entry)
  return child.pid ?? null
}

const signal = ({ name, signal }) => {
  const entry = kept.get(name)
  return entry !== undefined && entry.ending === undefined && entry.child.kill(signal)
}

const answer = async (request) => {
  if (request.verb === "start") return start(request)
  if (request.verb === "signal") return signal(request)
  const entry = kept.get(request.name)
  if (entry === undefined) throw new Error("there is no process " + request.name)
  return await entry.ended
}

const listen = () => {
  const server = net.createServer((socket) => {
    let input = ""
    socket.setEncoding("utf8")
    socket.on("error", () => {})
    socket.on("data", (text) => {
      input += text
      const lines = input.split("\\n")
      input = lines.pop()
      for (const line of lines) {
        const { id, ...request } = JSON.parse(line)
        answer(request).then(
          (value) => ({ id, value }),
          (error) => ({ id, problem: error.message })
        ).then((reply) => socket.writable && socket.write(JSON.stringify(reply) + "\\n"))
      }
    })
  })
  server.on("error", (error) => {
    console.error(error.message)
    void stop(1)
  })
  // nobody but this user may give orders
  const mask = process.umask(0o177)
  server.listen(order.control, () => {
    process.umask(mask)
    console.log("ready")
  })
}

const stopOne = async ({ child, ended, ending, patient }) => {
  if (ending !== undefined) return
  if (patient) {
    child.kill("SIGTERM")
    if (process.platform !== "win32") child.kill("SIGCONT")
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 8000))])
  }
  child.kill("SIGKILL")
  await ended
}

const stop = async (code) => {
  if (stopping) return
  stopping = true
  await Promise.all([...kept.values()].map(stopOne))
  if (order !== undefined) {
    if (process.platform !== "win32") fs.rmSync(order.control, { force: true })
    if (fs.existsSync(order.home)) fs.rmSync(order.home, { recursive: true, force: true, maxRetries: 5 })
  }
  process.exit(code)
}

let input = ""
process.stdin.setEncoding("utf8")
process.stdin.on("data", (text) => {
  input += text
  if (order !== undefined || !input.includes("\\n")) return
  order = JSON.parse(input)
  try {
    fs.mkdirSync(order.home, { recursive: true, mode: 0o700 })
    // first, for a number alone says nothing
    fs.writeFileSync(path.join(order.home, "keeper.namespace"), order.namespace)
    fs.writeFileSync(path.join(order.home, "keeper.pid"), String(process.pid))
    listen()
  } catch (error) {
    console.error(error.message)
    void stop(1)
  }
})
process.stdin.on("end", () => void stop(0))
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => void stop(0))
`
