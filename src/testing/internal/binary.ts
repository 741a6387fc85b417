/**
 * A mongod that is on this machine, or that the package `mongodb-memory-server-core` downloads.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as FileSystem from "node:fs"
import { createRequire } from "node:module"
import * as Path from "node:path"
import * as Cache from "./cache.js"
import * as Child from "./child.js"
import { isExecutable, onPath } from "./platform.js"
import type { Wanted } from "./way.js"
import { remembered, WayFailed } from "./way.js"

/** The mongod that `MONGOMS_SYSTEM_BINARY` names, else the one on the `PATH`. */
export const found: Effect.Effect<string, WayFailed> = Effect.suspend(() => {
  const given = process.env["MONGOMS_SYSTEM_BINARY"]
  if (given !== undefined && given !== "") {
    return isExecutable(given) ? Effect.succeed(given) : new WayFailed({
      reason: "the file that MONGOMS_SYSTEM_BINARY names is not there or cannot be executed",
      fix: "correct MONGOMS_SYSTEM_BINARY, or unset it"
    })
  }
  const path = onPath("mongod")
  return path === undefined
    ? new WayFailed({
      reason: "there is no mongod on the PATH",
      fix: "install MongoDB Community Server, or name a mongod in MONGOMS_SYSTEM_BINARY"
    })
    : Effect.succeed(path)
})

/** The mongod that is downloaded first if need be. With `retry` what failed less than a day ago is tried again. */
export const downloaded = (wanted: Wanted, retry: boolean): Effect.Effect<string, WayFailed> =>
  Effect.gen(function*() {
    const downloader = yield* findPackage
    const key = ["download", downloader.version, process.env["MONGOMS_VERSION"] ?? "default"].join("-")
    return yield* Cache.remembering(wanted.cache, key, retry, download(downloader, wanted)).pipe(
      Effect.catchTag("Remembered", remembered("download"))
    )
  })

interface Downloader {
  readonly path: string
  readonly version: string
}

const packageName = "mongodb-memory-server-core"

const Manifest = Schema.parseJson(Schema.Struct({ version: Schema.String }))

// an optional peer of this library: looked for beside it, then beside the program
const findPackage: Effect.Effect<Downloader, WayFailed> = Effect.try(() => {
  const bases = [import.meta.url, Path.join(process.cwd(), "package.json")]
  const path = bases.map(resolveFrom).find((resolved) => resolved !== undefined)
  if (path === undefined) throw new Error("not found")
  const manifest = createRequire(path).resolve(`${packageName}/package.json`)
  const { version } = Schema.decodeSync(Manifest)(FileSystem.readFileSync(manifest, "utf8"))
  return { path, version }
}).pipe(Effect.mapError(() =>
  new WayFailed({
    reason: `the package ${packageName} is not installed`,
    fix: `npm install --save-dev ${packageName}`
  })
))

const resolveFrom = (base: string): string | undefined => {
  try {
    return createRequire(base).resolve(packageName)
  } catch {
    return undefined
  }
}

// in a process of its own: the package writes to the standard output and installs signal handlers
const program = `
process.stdin.on("end", () => process.exit(1)).resume()
const { MongoBinary } = require(process.argv[1])
MongoBinary.getPath({}).then(
  (path) => console.log("binary " + path) ?? process.exit(0),
  (error) => console.error(error.message) ?? process.exit(1)
)
`

const download = (downloader: Downloader, wanted: Wanted): Effect.Effect<string, WayFailed> =>
  Effect.scoped(wanted.progress.during("looking for a downloaded mongod", (update) =>
    Effect.gen(function*() {
      let hasProgress = false
      const child = yield* Child.start({
        command: process.execPath,
        args: ["-e", program, downloader.path],
        env: { MONGOMS_MAX_RETRIES: "1", ...process.env },
        ready: /^binary /,
        onLine: (line) => {
          if (!/^Downloading MongoDB/.test(line)) return
          hasProgress = true
          update(line.trim())
        }
      })
      const failed = (reason: string) =>
        Effect.flatMap(child.output, (output) =>
          new WayFailed({
            reason,
            output: output.filter((line) => !/^\s+at /.test(line)),
            isLasting: true,
            fix: "it needs the network, or a mirror (MONGOMS_DOWNLOAD_MIRROR)"
          }))
      const late = Effect.zipRight(
        Effect.sleep("15 seconds"),
        Effect.suspend(() => hasProgress ? Effect.never : failed("the download did not begin within 15 seconds"))
      )
      const line = yield* child.ready.pipe(
        Effect.catchAll(() => failed("mongod could not be downloaded")),
        Effect.raceFirst(late),
        Effect.raceFirst(Effect.delay(failed("mongod was not downloaded within 15 minutes"), "15 minutes"))
      )
      return line.slice("binary ".length)
    })))
