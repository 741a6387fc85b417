import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Db, MongoClient } from "mongodb"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as selfsigned from "selfsigned"
import * as Collection from "../../src/Collection.js"
import * as FailPoint from "../../src/testing/FailPoint.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import * as Processes from "../support/programs/processes.js"
import { command, holdServer, leftIn, own, ownJson, quiet, which, withVariables } from "../support/server/ownServer.js"
import * as Responder from "../support/server/responder.js"
import * as TestServer from "../support/server/testServer.js"

describe("a server of its own", () => {
  it.effect("takes writes once it is there, also under a TestClock, and is gone with its scope", () =>
    Effect.gen(function*() {
      const url = yield* Effect.scoped(Effect.gen(function*() {
        const { kind, url } = yield* MongoServer.make(own)
        assert.strictEqual(kind, which)
        assert.propertyVal(yield* command(url, "hello"), "isWritablePrimary", true)
        return url
      }))
      const error = yield* Effect.flip(command(url, "hello"))
      assert.match(String(error), /ECONNREFUSED/)
    }))

  it.scoped("says which one it is", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      yield* MongoServer.make({ which, onProgress: (line) => Effect.sync(() => lines.push(line)) })
      assert.match(lines.at(-1) ?? "", /^test server: MongoDB \d+\.\d+\.\d+, 1 member$/)
    }))

  it.scoped("lets nobody in but its user, if it has access control", () =>
    Effect.gen(function*() {
      const credentials = { username: "ann@shop", password: "p/ss:w@rd" }
      const server = yield* MongoServer.make({ ...own, auth: credentials })
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
      const options = { ...own, storagePath, auth: { username: "ann", password: "first" } }
      yield* Effect.scoped(Effect.flatMap(MongoServer.make(options), ({ url }) =>
        command(url, "insert", { insert: "things", documents: [{ _id: 1 }] })))
      const changed = { ...options, auth: { username: "ann", password: "second" } }
      const { url } = yield* MongoServer.make(changed)
      const found = yield* command(url, "find", { find: "things" })
      assert.deepStrictEqual(found.cursor.firstBatch, [{ _id: 1 }])
    }))

  it.scoped("takes parameters of mongod", () =>
    Effect.gen(function*() {
      const parameters = { localLogicalSessionTimeoutMinutes: 1 }
      const { url } = yield* MongoServer.make({ ...own, parameters })
      assert.deepInclude(yield* command(url, "getParameter", parameters), parameters)
      assert.propertyVal(yield* command(url, "hello"), "logicalSessionTimeoutMinutes", 1)
    }))

  it.scoped("talks TLS only, if it is given certificates", () =>
    Effect.gen(function*() {
      const certificate = selfsigned.generate([{ name: "commonName", value: "127.0.0.1" }], {
        keySize: 2048,
        extensions: [
          { name: "basicConstraints", cA: true },
          { name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] }
        ]
      })
      const folder = yield* Processes.temporaryFolder
      const file = (name: string, text: string) => {
        FileSystem.writeFileSync(Path.join(folder, name), text)
        return Path.join(folder, name)
      }
      const tls = {
        caFile: file("ca.pem", certificate.cert),
        certificateKeyFile: file("server.pem", certificate.private + certificate.cert)
      }
      const { url } = yield* MongoServer.make({ ...own, tls, auth: true })
      assert.propertyVal(yield* command(url, "hello"), "isWritablePrimary", true)
      const plain = yield* Effect.flip(command(url.replace(/[?&]tls.*/, ""), "hello"))
      assert.match(plain.message, /closed|Server selection timed out/)
    }))

  it.scoped("may have its data in a folder whose path is too long for a socket", () =>
    Effect.gen(function*() {
      const temporaryFolder = Path.join(yield* Processes.temporaryFolder, "x".repeat(120), "y")
      const { url } = yield* MongoServer.make({ ...own, temporaryFolder })
      assert.propertyVal(yield* command(url, "hello"), "isWritablePrimary", true)
    }))

  it.scopedLive("starts where `setpriv` is too old to tell the system to end it with its keeper", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      const refusal = "#!/bin/sh\necho \"setpriv: unrecognized option '$1'\" >&2\nexit 1\n"
      FileSystem.writeFileSync(Path.join(folder, "setpriv"), refusal, { mode: 0o755 })
      const program = yield* Processes.start(holdServer, [ownJson({ temporaryFolder: folder })], {
        PATH: [folder, process.env["PATH"]].join(Path.delimiter)
      })
      assert.include(yield* program.firstLine, "Running")
      yield* program.kill("SIGTERM")
      yield* program.ended
      assert.deepStrictEqual(yield* Processes.untilNone(leftIn(folder)), [])
    }))

  it.scoped("says why its folder cannot be made", () =>
    Effect.gen(function*() {
      const file = Path.join(yield* Processes.temporaryFolder, "file")
      FileSystem.writeFileSync(file, "")
      const error = yield* Effect.flip(MongoServer.make({ ...own, temporaryFolder: file }))
      assert.match(error.message, /ENOTDIR|EEXIST/)
    }))

  it.scoped("fails with MemberFailed what is done to a member when its keeper is gone", () =>
    Effect.gen(function*() {
      const temporaryFolder = yield* Processes.temporaryFolder
      const { members } = yield* MongoServer.make({ ...own, temporaryFolder })
      const [home = ""] = (yield* Processes.entries(temporaryFolder)).filter((name) => name.startsWith("effect-mongo-"))
      const keeper = Number(FileSystem.readFileSync(Path.join(temporaryFolder, home, "keeper.pid"), "utf8"))
      process.kill(keeper, "SIGKILL")
      const error = yield* Effect.flip(Effect.scoped(members[0]!.kill))
      assert.deepInclude(error, { _tag: "MemberFailed", doing: "killing mongod-0" })
      assert.match(error.reason, /does not answer/)
    }))

  it.scoped("gives a layer with a client that is connected to it", () =>
    Effect.gen(function*() {
      const things = Collection.make("things")
      yield* Effect.gen(function*() {
        yield* things.insertOne({ _id: 1 }).pipe(Transaction.run())
        assert.strictEqual(yield* things.countDocuments({}), 1)
        const { url } = yield* MongoServer.MongoServer
        assert.propertyVal((yield* command(url, "listDatabases")).databases[3], "name", "shop")
      }).pipe(Effect.provide(MongoServer.layerClient({ ...own, client: { database: "shop" } })))
    }))

  it.scoped("has no transactions when it stands alone", () =>
    Effect.gen(function*() {
      const { features, url } = yield* MongoServer.make({ ...own, standalone: true })
      assert.isFalse(features.transactions)
      assert.notProperty(yield* command(url, "hello"), "setName")
    }))

  it.scoped("is the one that MONGODB_URI names, if that is set", () =>
    Effect.gen(function*() {
      const responder = yield* Responder.make()
      const server = yield* MongoServer.make(quiet).pipe(withVariables({ MONGODB_URI: responder.url }))
      assert.deepInclude(server, { kind: "uri", url: responder.url, description: "MongoDB 8.0.0, 1 member" })
      assert.deepStrictEqual(server.members, [])
      const refused = yield* Effect.flip(Effect.scoped(server.stepDown))
      assert.match(refused.message, /is not this program's to disturb/)
    }))
})

describe("the question for a server's features", () => {
  it.scoped("leaves the fail point that another program has set", () =>
    Effect.gen(function*() {
      const { url } = yield* MongoServer.make(own)
      const client = yield* TestServer.connect(url)
      yield* FailPoint.failCommand(client, { failCommands: ["ping"], mode: "alwaysOn", errorCode: 112 })
      const { features } = yield* MongoServer.make(quiet).pipe(withVariables({ MONGODB_URI: url }))
      assert.isTrue(features.failCommand)
      assert.propertyVal(yield* Effect.flip(command(url, "ping")), "code", 112)
    }))

  it.scoped("is answered by one without test commands, too", () =>
    Effect.gen(function*() {
      const { features } = yield* MongoServer.make({ ...own, parameters: { enableTestCommands: false } })
      assert.isFalse(features.failCommand)
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
  ]
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
