/**
 * The Node program that keeps a mongod: `mongodb-memory-server-core` starts and stops it, in a process of its own, so
 * that its signal handlers and its output stay out of the program under test and nothing outlives this process.
 */
import type { Credentials } from "./way.js"

/** The first line that the program reads, as JSON. */
export interface Order {
  readonly packagePath: string
  /** A folder that the program makes, uses for all temporary files, and removes. */
  readonly home: string
  /** The mongod to use; without it one is downloaded. */
  readonly binary: string | undefined
  readonly port: number | undefined
  readonly storagePath: string | undefined
  readonly standalone: boolean
  readonly credentials: Credentials | undefined
  readonly parameters: Readonly<Record<string, string | number | boolean>>
}

/** Prints `downloading` and `downloaded` if that has to be done, then `ready` with the URL. */
export const program = `
const fs = require("node:fs")
const path = require("node:path")

let order
let server
let stopping = false

// when the program under test has been killed nobody reads any longer, and that must not end this program early
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})

const mongodPids = () =>
  (server === undefined ? [] : server.servers ?? [server])
    .map((one) => (one.instanceInfo ?? one._instanceInfo)?.instance?.mongodProcess?.pid)
    .filter((pid) => pid !== undefined)

const stop = async (code) => {
  if (stopping) return
  stopping = true
  const pids = mongodPids()
  const limit = new Promise((resolve) => setTimeout(resolve, 12000))
  try {
    await Promise.race([server?.stop({ doCleanup: false }), limit])
  } catch (error) {
    console.error(String(error))
  }
  for (const pid of new Set([...pids, ...mongodPids()])) {
    try {
      process.kill(pid, "SIGKILL")
    } catch {
      // it is gone already
    }
  }
  if (order !== undefined) fs.rmSync(order.home, { recursive: true, force: true, maxRetries: 5 })
  process.exit(code)
}

const start = async () => {
  const dbPath = order.storagePath ?? path.join(order.home, "data")
  fs.mkdirSync(order.home, { recursive: true, mode: 0o700 })
  fs.mkdirSync(dbPath, { recursive: true })
  process.env.TMPDIR = process.env.TEMP = process.env.TMP = order.home
  const { DryMongoBinary, MongoBinary, MongoMemoryReplSet, MongoMemoryServer } = require(order.packagePath)
  const binary = order.binary === undefined ? {} : { systemBinary: order.binary }
  if (order.binary === undefined && (await DryMongoBinary.locateBinary({})) === undefined) {
    console.log("downloading")
    await MongoBinary.getPath({})
    console.log("downloaded")
  }
  const args = Object.entries(order.parameters).flatMap(([name, value]) => ["--setParameter", name + "=" + value])
  const auth = order.credentials === undefined ? undefined : {
    enable: true,
    customRootName: order.credentials.username,
    customRootPwd: order.credentials.password
  }
  const instance = { dbPath, storageEngine: "wiredTiger", launchTimeout: 60000, ...(order.port && { port: order.port }) }
  server = order.standalone
    ? new MongoMemoryServer({ instance: { ...instance, args }, binary, ...(auth && { auth }) })
    : new MongoMemoryReplSet({
      replSet: { name: "rs0", count: 1, storageEngine: "wiredTiger", args, ...(auth && { auth }) },
      instanceOpts: [instance],
      binary
    })
  await server.start()
  console.log("ready " + JSON.stringify({ url: server.getUri() }))
}

let input = ""
process.stdin.setEncoding("utf8")
process.stdin.on("data", (text) => {
  input += text
  if (order !== undefined || !input.includes("\\n")) return
  order = JSON.parse(input)
  start().catch((error) => {
    console.error(error instanceof Error ? error.message : String(error))
    void stop(1)
  })
})
process.stdin.on("end", () => void stop(0))
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => void stop(0))
`
