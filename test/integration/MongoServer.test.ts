import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { MongoClient } from "mongodb"
import type { Db, Document } from "mongodb"
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import * as FileSystem from "node:fs"
import * as Http from "node:http"
import { createRequire } from "node:module"
import * as Net from "node:net"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { live } from "../../src/testing/internal/live.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Processes from "../support/processes.js"
import * as Responder from "../support/Responder.js"
import * as TestServer from "../support/TestServer.js"

const holdServer = new URL("../support/holdServer.ts", import.meta.url)

const quiet: MongoServer.Options = { onProgress: () => Effect.void }

const secantus: MongoServer.Options = { ...quiet, which: "secantus" }

// the variables of this run must not decide what these tests see
const withVariables = (variables: Readonly<Record<string, string>>) =>
  Effect.withConfigProvider(
    ConfigProvider.fromMap(
      new Map(
        Object.entries({ ...process.env, MONGO_SERVER: "", MONGODB_URI: "", ...variables }).flatMap(
          ([name, value]): ReadonlyArray<[string, string]> => value === undefined ? [] : [[name, value]]
        )
      )
    )
  )

const client = (url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => new MongoClient(url, { serverSelectionTimeoutMS: 500 })),
    (client) => Effect.promise(() => client.close())
  )

const command = (url: string, name: string, options: Document = {}) =>
  Effect.scoped(Effect.flatMap(client(url), (client) =>
    Effect.tryPromise({
      try: () => client.db("admin").command({ [name]: 1, ...options }),
      catch: (error) => error instanceof Error ? error : assert.fail(String(error))
    })))

const portOf = (server: Net.Server) => {
  const address = server.address()
  return address !== null && typeof address === "object" ? address.port : assert.fail("no port")
}

const ways = (error: MongoServer.MongoServerUnavailable) => error.attempts.map(({ way }) => way)

describe("a server that is not to be had", () => {
  it.scoped("names the forced way only, with what to do", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(MongoServer.make({ ...quiet, which: "uri" }))
      assert.strictEqual(error._tag, "MongoServerUnavailable")
      assert.deepStrictEqual(ways(error), ["uri"])
      assert.match(error.message, /MONGODB_URI is not set/)
      assert.match(error.message, /to fix it: set it/)
    }).pipe(withVariables({})))

  it.scoped("is forced by MONGO_SERVER, whose nonsense is told", () =>
    Effect.gen(function*() {
      const forced = yield* Effect.flip(MongoServer.make(quiet).pipe(withVariables({ MONGO_SERVER: "uri" })))
      assert.deepStrictEqual(ways(forced), ["uri"])
      const nonsense = yield* Effect.flip(MongoServer.make(quiet).pipe(withVariables({ MONGO_SERVER: "postgres" })))
      assert.deepStrictEqual(ways(nonsense), ["settings"])
      assert.match(nonsense.message, /"postgres".*\n.*uri, mongod, download, secantus/)
    }))

  it.scoped("is refused a malformed MONGODB_URI without quoting the password in it", () =>
    Effect.gen(function*() {
      for (const url of ["mongodb://bob:secret@", "mongo://bob:secret@host/", "mongodb://bob:secret@[/", "secret"]) {
        const error = yield* Effect.flip(
          MongoServer.make({ ...quiet, which: "uri" }).pipe(withVariables({ MONGODB_URI: url }))
        )
        assert.notInclude(error.message, "secret")
      }
    }))

  it.scoped("is not waited for longer than startTimeout", () =>
    Effect.gen(function*() {
      const responder = yield* Responder.make({ hello: { isWritablePrimary: false, ismaster: false, secondary: true } })
      const options: MongoServer.Options = { ...quiet, which: "uri", startTimeout: "300 millis" }
      const error = yield* Effect.flip(MongoServer.make(options).pipe(withVariables({ MONGODB_URI: responder.url })))
      assert.match(error.message, /Server selection timed out after 300 ms/)
    }))

  it.scoped("does not take a port that somebody else has", () =>
    Effect.gen(function*() {
      const taken = yield* Effect.acquireRelease(
        Effect.promise(() =>
          new Promise<Net.Server>((resolve) => {
            const server = Net.createServer().listen(0, "127.0.0.1", () => resolve(server))
          })
        ),
        (server) => Effect.sync(() => server.close())
      )
      const port = portOf(taken)
      const error = yield* Effect.flip(MongoServer.make({ ...secantus, port }))
      assert.match(error.message, new RegExp(`port ${port} is in use`))
      assert.match(error.attempts[0]?.output.join("\n") ?? "", /Address already in use/)
    }))

  it.scoped("cannot be given what a way cannot give", () =>
    Effect.gen(function*() {
      const parameters = { localLogicalSessionTimeoutMinutes: 1 }
      const error = yield* Effect.flip(MongoServer.make({ ...secantus, parameters }))
      assert.match(error.message, /SecantusDB has no server parameters/)
      const uri = yield* Effect.flip(
        MongoServer.make({ ...quiet, which: "uri", auth: true }).pipe(withVariables({ MONGODB_URI: "mongodb://a/" }))
      )
      assert.match(uri.message, /cannot be given users/)
    }))

  it.scopedLive("lists all ways, and remembers for a day the one that is slow to fail", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      const environment = {
        PATH: folder,
        HOME: folder,
        PYTHON: "",
        MONGO_SERVER: "",
        MONGODB_URI: "",
        MONGOMS_SYSTEM_BINARY: "",
        MONGOMS_DOWNLOAD_MIRROR: "https://127.0.0.1:1",
        MONGOMS_DOWNLOAD_DIR: folder,
        EFFECT_MONGO_SESSION_CACHE: Path.join(folder, "cache"),
        TMPDIR: folder
      }
      const failure = (which: string) =>
        Effect.gen(function*() {
          const program = yield* Processes.start(holdServer, [JSON.stringify({ which })], environment)
          const line: unknown = JSON.parse(yield* program.firstLine)
          assert(typeof line === "object" && line !== null && "message" in line && typeof line.message === "string")
          return line.message
        })
      const first = yield* failure("auto")
      for (
        const words of [
          /MONGODB_URI is not set/,
          /there is no mongod on the PATH/,
          /mongod could not be downloaded/,
          /no Python from 3\.10 on/
        ]
      ) assert.match(first, words)
      assert.strictEqual(first.match(/to fix it: /g)?.length, 4)
      assert.match(yield* failure("auto"), /could not be downloaded \(remembered, not tried again for a day\)/)
      assert.notMatch(yield* failure("download"), /remembered/)
    }))
})

describe("a server of its own", () => {
  it.effect("takes writes once it is there, also under a TestClock, and is gone with its scope", () =>
    Effect.gen(function*() {
      const url = yield* Effect.scoped(Effect.gen(function*() {
        const { kind, url } = yield* MongoServer.make(secantus)
        assert.strictEqual(kind, "secantus")
        assert.propertyVal(yield* command(url, "hello"), "isWritablePrimary", true)
        return url
      }))
      const error = yield* Effect.flip(command(url, "hello"))
      assert.match(String(error), /ECONNREFUSED/)
    }))

  it.scoped("says which one it is", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      yield* MongoServer.make({ which: "secantus", onProgress: (line) => Effect.sync(() => lines.push(line)) })
      assert.match(lines.at(-1) ?? "", /^test server: SecantusDB \S+ \(compatible with MongoDB \d+\.\d+\.\d+\)$/)
    }))

  it.scoped("lets nobody in but its user, if it has access control", () =>
    Effect.gen(function*() {
      const credentials = { username: "ann@shop", password: "p/ss:w@rd" }
      const server = yield* MongoServer.make({ ...secantus, auth: credentials })
      const refusal = (url: string) => Effect.flip(command(url, "startSession"))
      const wrong = Option.some({ ...credentials, password: "guess" })
      assert.propertyVal(yield* refusal(server.urlAs(wrong)), "code", 18)
      assert.propertyVal(yield* refusal(server.urlAs(Option.none())), "code", 13)
      const { authInfo } = yield* command(server.url, "connectionStatus")
      assert.deepStrictEqual(authInfo.authenticatedUsers, [{ user: "ann@shop", db: "admin" }])
      assert.isTrue(server.features.failCommand)
    }))

  it.scoped("keeps its data where it is told to, and its user with them", () =>
    Effect.gen(function*() {
      const storagePath = Path.join(yield* Processes.temporaryFolder, "data")
      const options = { ...secantus, storagePath, auth: { username: "ann", password: "first" } }
      yield* Effect.scoped(Effect.flatMap(MongoServer.make(options), ({ url }) =>
        command(url, "insert", { insert: "things", documents: [{ _id: 1 }] })))
      const changed = { ...options, auth: { username: "ann", password: "second" } }
      const { url } = yield* MongoServer.make(changed)
      const found = yield* command(url, "find", { find: "things" })
      assert.deepStrictEqual(found.cursor.firstBatch, [{ _id: 1 }])
    }))

  it.scoped("has no transactions when it stands alone", () =>
    Effect.gen(function*() {
      const { features, url } = yield* MongoServer.make({ ...secantus, standalone: true })
      assert.isFalse(features.transactions)
      assert.notProperty(yield* command(url, "hello"), "setName")
    }))

  it.scoped("is the one that MONGODB_URI names, if that is set", () =>
    Effect.gen(function*() {
      const responder = yield* Responder.make()
      const server = yield* MongoServer.make(quiet).pipe(withVariables({ MONGODB_URI: responder.url }))
      assert.deepInclude(server, { kind: "uri", url: responder.url, description: "MongoDB 8.0.0" })
      assert.deepInclude(server.features, { transactions: true, listSessions: true, settableSessionTimeout: false })
    }))
})

describe("nothing is left behind", () => {
  const leftIn = (folder: string) =>
    Effect.gen(function*() {
      const files = yield* Processes.entries(folder)
      return [...files.filter((name) => name.startsWith("effect-mongo")), ...yield* Processes.processesWith(folder)]
    })

  // the server's command line and its folder both show the folder for temporary files
  const withOwnFolder = <A, E, R>(use: (folder: string) => Effect.Effect<A, E, R>) =>
    Effect.flatMap(Processes.temporaryFolder, (folder) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          const before = process.env["TMPDIR"]
          process.env["TMPDIR"] = folder
          return before
        }),
        () => use(folder),
        (before) =>
          Effect.sync(() => {
            if (before === undefined) delete process.env["TMPDIR"]
            else process.env["TMPDIR"] = before
          })
      ))

  it.scoped("by a scope that closes", () =>
    withOwnFolder((folder) =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          yield* MongoServer.make({ ...secantus, auth: true })
          assert.isNotEmpty(yield* leftIn(folder))
        }))
        assert.deepStrictEqual(yield* leftIn(folder), [])
      })
    ))

  it.scoped("by an interruption at any moment of the start", () =>
    withOwnFolder((folder) =>
      Effect.forEach([0, 20, 60, 150, 400], (delay) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(Effect.scoped(MongoServer.make({ ...secantus, auth: true })))
          yield* live(Effect.sleep(delay))
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(yield* leftIn(folder), [])
        }))
    ))

  it.scoped("by a start that fails after the server was started", () =>
    withOwnFolder((folder) =>
      Effect.gen(function*() {
        yield* Effect.flip(MongoServer.make({ ...secantus, startTimeout: "1 millis" }))
        assert.deepStrictEqual(yield* leftIn(folder), [])
      })
    ))

  for (const signal of ["SIGKILL", "SIGINT", "SIGTERM"] as const) {
    it.scopedLive(`by a process that is ended by ${signal}`, () =>
      Effect.gen(function*() {
        const folder = yield* Processes.temporaryFolder
        const program = yield* Processes.start(holdServer, [`{"which":"secantus"}`], { TMPDIR: folder })
        assert.include(yield* program.firstLine, "Running")
        assert.isNotEmpty(yield* leftIn(folder))
        yield* program.kill(signal)
        yield* program.ended
        assert.deepStrictEqual(yield* Processes.untilNone(leftIn(folder)), [])
      }))
  }

  it.scopedLive("by a process that exits without closing its scope", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      const program = yield* Processes.start(holdServer, [`{"which":"secantus"}`, "exit"], { TMPDIR: folder })
      assert.include(yield* program.firstLine, "Running")
      yield* program.ended
      assert.deepStrictEqual(yield* Processes.untilNone(leftIn(folder)), [])
    }))

  it.scopedLive("by a process that is killed while the server starts", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      const program = yield* Processes.start(holdServer, [`{"which":"secantus"}`], { TMPDIR: folder })
      yield* Effect.repeat(leftIn(folder), {
        until: (left) => left.length > 0,
        schedule: Schedule.spaced("5 millis")
      })
      yield* program.kill("SIGKILL")
      yield* program.ended
      assert.deepStrictEqual(yield* Processes.untilNone(leftIn(folder)), [])
    }))
})

describe("the installation of SecantusDB", () => {
  it.scopedLive("leaves nothing unfinished when its process is killed", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      const environment = { EFFECT_MONGO_SESSION_CACHE: folder }
      const program = yield* Processes.start(holdServer, [`{"which":"secantus"}`], environment)
      const unfinished = Effect.map(Processes.entries(folder), (names) => names.filter((name) => name.endsWith(".tmp")))
      yield* Effect.repeat(unfinished, {
        until: (names) => names.length > 0,
        schedule: Schedule.spaced("10 millis")
      })
      yield* program.kill("SIGKILL")
      yield* program.ended
      assert.deepStrictEqual(yield* Processes.untilNone(unfinished), [])
      assert.deepStrictEqual(yield* Processes.untilNone(Processes.processesWith(folder)), [])
    }))

  it.scopedLive(
    "is made once by two processes at the same time, in place of a broken one and a dead one's lock",
    () =>
      Effect.gen(function*() {
        const folder = yield* Processes.temporaryFolder
        const broken = Path.join(folder, "secantus-0.7.0b3", "bin")
        FileSystem.mkdirSync(broken, { recursive: true })
        FileSystem.symlinkSync("/nowhere/python3", Path.join(broken, "python"))
        FileSystem.writeFileSync(Path.join(folder, "secantus-0.7.0b3.lock"), "4194303\n")
        FileSystem.mkdirSync(Path.join(folder, "secantus-0.7.0b3.4194303-0badcafe.tmp"))
        const environment = { EFFECT_MONGO_SESSION_CACHE: folder }
        const programs = yield* Effect.replicateEffect(
          Processes.start(holdServer, [`{"which":"secantus"}`], environment),
          2
        )
        for (const program of programs) assert.include(yield* program.firstLine, "Running")
        const said = (yield* Effect.forEach(programs, ({ errors }) => errors)).flat()
        assert.lengthOf(said.filter((line) => line.endsWith("(once)")), 1)
        assert.lengthOf(said.filter((line) => /^waiting for process \d+, [^(]+$/.test(line)), 1)
        assert.deepStrictEqual(yield* Processes.entries(folder), ["secantus-0.7.0b3"])
      })
  )
})

describe("a mongod", () => {
  const standIn = (folder: string, padding = "") =>
    Effect.sync(() => {
      const path = Path.join(folder, "bin", "mongod")
      const program = fileURLToPath(new URL("../support/standInMongod.ts", import.meta.url))
      const tsx = createRequire(import.meta.url).resolve("tsx")
      FileSystem.mkdirSync(Path.dirname(path))
      FileSystem.writeFileSync(
        path,
        `#!/bin/sh\nexec "${process.execPath}" --import "${tsx}" "${program}" "$@"\n${padding}`,
        { mode: 0o755 }
      )
      return path
    })

  // a mirror of MongoDB's downloads that has any version for any platform
  const mirror = (folder: string) =>
    Effect.gen(function*() {
      yield* standIn(folder, `# ${"x".repeat(1 << 20)}\n`)
      const archive = execFileSync("tar", ["-czf", "-", "-C", folder, "bin/mongod"])
      const checksum = createHash("md5").update(archive).digest("hex")
      const requests: Array<string> = []
      const server = yield* Effect.acquireRelease(
        Effect.promise(() =>
          new Promise<Http.Server>((resolve) => {
            const server = Http.createServer(({ url = "" }, response) => {
              requests.push(url)
              const body = url.endsWith(".md5") ? Buffer.from(`${checksum}  archive\n`) : archive
              response.writeHead(200, { "content-length": body.length }).end(body)
            }).listen(0, "127.0.0.1", () => resolve(server))
          })
        ),
        (server) => Effect.sync(() => server.close())
      )
      return { url: `http://127.0.0.1:${portOf(server)}`, requests }
    })

  const left = (folder: string) =>
    Effect.gen(function*() {
      const files = yield* Processes.entries(folder)
      return [
        ...files.filter((name) => /^(effect-mongo|mongo-mem)/.test(name)),
        ...yield* Processes.processesWith(`${folder}/effect-mongo`)
      ]
    })

  it.scopedLive("of this machine is started as a replica set of one by mongodb-memory-server-core", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      const program = yield* Processes.start(
        holdServer,
        [JSON.stringify({ parameters: { localLogicalSessionTimeoutMinutes: 1 } })],
        { MONGOMS_SYSTEM_BINARY: yield* standIn(folder), MONGO_SERVER: "mongod", TMPDIR: folder }
      )
      const server: unknown = JSON.parse(yield* program.firstLine)
      assert.deepInclude(server, { _tag: "Running", kind: "mongod", description: "MongoDB 8.0.0" })
      const [running] = yield* Processes.processesWith(`${folder}/effect-mongo`)
      assert.match(running ?? "", /--replSet rs0/)
      assert.match(running ?? "", /--setParameter enableTestCommands=1/)
      assert.match(running ?? "", /--setParameter localLogicalSessionTimeoutMinutes=1/)
      yield* program.kill("SIGKILL")
      yield* program.ended
      assert.deepStrictEqual(yield* Processes.untilNone(left(folder)), [])
    }))

  it.scopedLive("is downloaded once, and a failed download forgotten as soon as one succeeds", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      const { requests, url } = yield* mirror(folder)
      const cache = Path.join(folder, "cache")
      const start = (which: string, mirrorUrl: string) =>
        Effect.scoped(Effect.gen(function*() {
          const program = yield* Processes.start(holdServer, [JSON.stringify({ which })], {
            TMPDIR: folder,
            EFFECT_MONGO_SESSION_CACHE: cache,
            MONGOMS_DOWNLOAD_DIR: Path.join(folder, "downloads"),
            MONGOMS_DOWNLOAD_MIRROR: mirrorUrl,
            MONGOMS_USE_HTTP: "true"
          })
          const line: unknown = JSON.parse(yield* program.firstLine)
          yield* program.kill("SIGTERM")
          yield* program.ended
          return line
        }))
      assert.propertyVal(yield* start("download", "http://127.0.0.1:1"), "_tag", "Unavailable")
      assert.lengthOf(yield* Processes.entries(cache), 1)
      for (const _ of [1, 2]) {
        assert.deepInclude(yield* start("download", url), { _tag: "Running", kind: "download" })
        assert.lengthOf(requests.filter((path) => !path.endsWith(".md5")), 1)
      }
      assert.lengthOf(yield* Processes.entries(cache), 0)
      assert.deepStrictEqual(yield* Processes.untilNone(left(folder)), [])
    }))
})

const succeeds = (run: () => Promise<unknown>): Promise<boolean> => run().then(() => true, () => false)

const probes: ReadonlyArray<
  readonly [keyof MongoServer.Features, (client: MongoClient, database: Db) => Promise<boolean>]
> = [
  ["transactions", (client, database) =>
    succeeds(() =>
      client.withSession(async (session) => {
        session.startTransaction()
        await database.collection("things").insertOne({}, { session })
        await session.abortTransaction()
        assert.strictEqual(await database.collection("things").countDocuments(), 0)
      })
    )],
  ["changeStreams", (_, database) =>
    succeeds(async () => {
      const stream = database.collection("things").watch()
      const next = stream.next()
      // the stream is open when its first, empty answer has come
      await new Promise((resolve) => stream.once("resumeTokenChanged", resolve))
      await database.collection("things").insertOne({})
      assert.propertyVal(await next, "operationType", "insert")
      await stream.close()
    })],
  [
    "failCommand",
    (client) => succeeds(() => client.db("admin").command({ configureFailPoint: "failCommand", mode: "off" }))
  ],
  ["listSessions", (client, database) =>
    client.withSession(async (session) => {
      await database.collection("things").insertOne({}, { session })
      const sessions = await client.db("admin").aggregate([{ $listLocalSessions: {} }]).toArray()
      return sessions.some(({ _id }) => Responder.lsidOf({ lsid: _id }) === Responder.lsidOf({ lsid: session.id }))
    })],
  ["killSessionsKillsCursors", (client, database) =>
    client.withSession(async (session) => {
      await database.collection("things").insertMany([{}, {}, {}, {}])
      const cursor = database.collection("things").find({}, { session, batchSize: 2 })
      await cursor.next()
      await client.db("admin").command({ killSessions: [session.id] })
      return !(await succeeds(() => cursor.toArray()))
    })],
  ["pinnedSnapshotReads", (client, database) =>
    client.withSession({ snapshot: true }, async (session) => {
      const things = database.collection("things")
      await things.insertOne({})
      const before = await things.find({}, { session }).toArray()
      await things.insertOne({})
      const after = await things.find({}, { session }).toArray()
      return before.length === after.length
    })],
  [
    "validatesRefreshSessions",
    async (client) => !(await succeeds(() => client.db("admin").command({ refreshSessions: "everything" })))
  ],
  ["currentOpTransactions", (client, database) =>
    client.withSession(async (session) => {
      session.startTransaction()
      await database.collection("things").insertOne({}, { session })
      const seen = await client.db("admin").aggregate([
        { $currentOp: { allUsers: true, idleSessions: true } },
        { $match: { "transaction.parameters.txnNumber": { $exists: true } } }
      ]).toArray()
      await session.abortTransaction()
      return seen.length > 0
    })]
]

describe("the features of the server of this run", () => {
  it.layer(TestServer.layer)("are what it can really do", (it) => {
    for (const [feature, probe] of probes) {
      it.scoped(feature, () =>
        Effect.gen(function*() {
          const { features } = yield* MongoServer.MongoServer
          const client = yield* TestServer.driver()
          const database = client.db(yield* TestServer.database)
          assert.propertyVal(features, feature, yield* Effect.promise(() => probe(client, database)))
        }))
    }
  })
})
