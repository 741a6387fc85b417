import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import * as Path from "node:path"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Processes from "../support/programs/processes.js"
import { holdServer, own, quiet, withVariables } from "../support/server/ownServer.js"
import * as Responder from "../support/server/responder.js"

const portOf = (server: Net.Server) => {
  const address = server.address()
  return address !== null && typeof address === "object" ? address.port : assert.fail("no port")
}

const ways = (error: MongoServer.MongoServerUnavailable) => error.attempts.map(({ way }) => way)

describe("a server that is not available", () => {
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
      assert.match(nonsense.message, /"postgres".*\n.*uri, mongod, download, wheel/)
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
      const error = yield* Effect.flip(MongoServer.make({ ...own, port }))
      assert.match(error.message, new RegExp(`port ${port} is in use`))
      assert.match(error.attempts[0]?.output.join("\n") ?? "", /already in use/)
    }))

  it.scoped("cannot be given what a way cannot give", () =>
    Effect.gen(function*() {
      const alone = yield* Effect.flip(MongoServer.make({ ...quiet, standalone: true, members: 3 }))
      assert.match(alone.message, /a standalone server has one member/)
      const uri = yield* Effect.flip(
        MongoServer.make({ ...quiet, which: "uri", auth: true }).pipe(withVariables({ MONGODB_URI: "mongodb://a/" }))
      )
      assert.match(uri.message, /cannot be given users/)
      const responder = yield* Responder.make()
      const small = yield* Effect.flip(
        MongoServer.make({ ...quiet, which: "uri", members: 3 }).pipe(withVariables({ MONGODB_URI: responder.url }))
      )
      assert.match(small.message, /it has 1 member, and 3 are asked for/)
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
          /no Python 3 with pip was found/
        ]
      ) assert.match(first, words)
      assert.strictEqual(first.match(/to fix it: /g)?.length, 4)
      assert.match(yield* failure("auto"), /could not be downloaded \(remembered, not tried again for a day\)/)
      assert.notMatch(yield* failure("download"), /remembered/)
    }))
})
