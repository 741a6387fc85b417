/**
 * A real mongod, found on this machine or downloaded, started by the package `mongodb-memory-server-core`. That package
 * runs in a process of its own, which ends, with the mongod and its files, when its standard input is closed.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import * as FileSystem from "node:fs"
import { createRequire } from "node:module"
import * as OperatingSystem from "node:os"
import * as Path from "node:path"
import * as Cache from "./cache.js"
import * as Child from "./child.js"
import * as Keeper from "./mongodKeeper.js"
import type { Wanted } from "./way.js"
import { undoneOnFailure, WayFailed } from "./way.js"

/** Starts the mongod that is on this machine, which the scope stops; gives its connection string, without a user. */
export const startInstalled = (wanted: Wanted): Effect.Effect<string, WayFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const binary = yield* findBinary
    const keeper = yield* findKeeper
    return yield* start(keeper, wanted, Option.some(binary))
  })

/** The same with a mongod that is downloaded first if need be. `retry` tries what failed less than a day ago. */
export const startDownloaded = (wanted: Wanted, retry: boolean): Effect.Effect<string, WayFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const keeper = yield* findKeeper
    const key = ["download", keeper.version, process.env["MONGOMS_VERSION"] ?? "default"].join("-")
    const failure = retry ? Option.none() : yield* Cache.rememberedFailure(wanted.cache, key)
    if (Option.isSome(failure)) {
      return yield* new WayFailed({
        reason: `${failure.value.reason} (remembered, not tried again for a day)`,
        fix: "set MONGO_SERVER=download to try again now"
      })
    }
    const reached = yield* Effect.tapError(
      start(keeper, wanted, Option.none()),
      (failed) => failed.isLasting === true ? Cache.rememberFailure(wanted.cache, key, failed.reason) : Effect.void
    )
    yield* Cache.forgetFailure(wanted.cache, key)
    return reached
  })

const findBinary: Effect.Effect<string, WayFailed> = Effect.suspend(() => {
  const given = process.env["MONGOMS_SYSTEM_BINARY"]
  if (given !== undefined && given !== "") {
    return isExecutable(given) ? Effect.succeed(given) : new WayFailed({
      reason: "the file that MONGOMS_SYSTEM_BINARY names is not there or cannot be executed",
      fix: "correct MONGOMS_SYSTEM_BINARY, or unset it"
    })
  }
  const name = process.platform === "win32" ? "mongod.exe" : "mongod"
  const found = (process.env["PATH"] ?? "").split(Path.delimiter)
    .map((folder) => Path.join(folder, name))
    .find(isExecutable)
  return found === undefined
    ? new WayFailed({
      reason: "there is no mongod on the PATH",
      fix: "install MongoDB Community Server, or name a mongod in MONGOMS_SYSTEM_BINARY"
    })
    : Effect.succeed(found)
})

const isExecutable = (path: string): boolean => {
  try {
    FileSystem.accessSync(path, FileSystem.constants.X_OK)
    return FileSystem.statSync(path).isFile()
  } catch {
    return false
  }
}

interface KeeperPackage {
  readonly path: string
  readonly version: string
}

const packageName = "mongodb-memory-server-core"

const Manifest = Schema.parseJson(Schema.Struct({ version: Schema.String }))

// an optional peer of this library: looked for beside it, then beside the program
const findKeeper: Effect.Effect<KeeperPackage, WayFailed> = Effect.try(() => {
  const bases = [import.meta.url, Path.join(process.cwd(), "package.json")]
  const path = bases.map(resolveFrom).find((found) => found !== undefined)
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

const Ready = Schema.parseJson(Schema.Struct({ url: Schema.String }))

const readyLine = /^ready (\{.*\})$/

const start = (keeper: KeeperPackage, wanted: Wanted, binary: Option.Option<string>) =>
  undoneOnFailure(keep(keeper, wanted, binary)).pipe(
    // the port is chosen before mongod binds it
    Effect.retry({
      schedule: Schedule.recurs(3),
      while: (failed) =>
        Option.isNone(wanted.port) && failed.output?.some((line) => /already in use/i.test(line)) === true
    })
  )

const keep = (
  keeper: KeeperPackage,
  wanted: Wanted,
  binary: Option.Option<string>
): Effect.Effect<string, WayFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const home = yield* Effect.acquireRelease(
      Effect.sync(() => Path.join(OperatingSystem.tmpdir(), `effect-mongo-session-${randomUUID()}`)),
      (path) => Effect.sync(() => FileSystem.rmSync(path, { recursive: true, force: true, maxRetries: 3 }))
    )
    const order: Keeper.Order = {
      packagePath: keeper.path,
      home,
      binary: Option.getOrUndefined(binary),
      port: Option.getOrUndefined(wanted.port),
      storagePath: Option.getOrUndefined(Option.map(wanted.storagePath, (path) => Path.resolve(path))),
      standalone: wanted.standalone,
      credentials: Option.getOrUndefined(wanted.credentials),
      parameters: { enableTestCommands: 1, ...wanted.parameters }
    }
    let isDownloading = false
    let hasProgress = false
    const words = Option.isSome(binary) ? "starting mongod" : "starting a downloaded mongod"
    const line = yield* wanted.progress.during(words, (update) =>
      Effect.gen(function*() {
        const child = yield* Child.start({
          command: process.execPath,
          args: ["-e", Keeper.program],
          env: {
            MONGOMS_MAX_RETRIES: "1",
            MONGOMS_SYSTEM_BINARY_VERSION_CHECK: "false",
            // shows what mongod prints
            DEBUG: "MongoMS:MongoInstance",
            ...process.env
          },
          ready: readyLine,
          grace: "20 seconds",
          onLine: (text) => {
            if (text === "downloading") isDownloading = true
            if (text === "downloaded") {
              isDownloading = false
              update(words)
            }
            if (/^Downloading MongoDB/.test(text)) {
              hasProgress = true
              update(text.trim())
            }
          }
        })
        yield* child.send(`${JSON.stringify(order)}\n`)
        const problem = (reason: string, output: ReadonlyArray<string>) =>
          new WayFailed({
            reason,
            output: output.filter((text) => !/^\s+at /.test(text)),
            isLasting: isDownloading,
            fix: isDownloading
              ? "it needs the network, or a mirror (MONGOMS_DOWNLOAD_MIRROR)"
              : "see its output"
          })
        const giveUp = (limit: Wanted["startTimeout"], reason: string, when: () => boolean) =>
          Effect.sleep(limit).pipe(
            Effect.zipRight(child.output),
            Effect.flatMap((output) => when() ? Effect.fail(problem(reason, output)) : Effect.never)
          )
        return yield* child.ready.pipe(
          Effect.mapError((ended) =>
            problem(
              isDownloading ? "mongod could not be downloaded" : `mongod did not start: its keeper ${ended.message}`,
              ended.output
            )
          ),
          Effect.raceFirst(
            giveUp("15 seconds", "the download did not begin within 15 seconds", () => isDownloading && !hasProgress)
          ),
          Effect.raceFirst(giveUp(wanted.startTimeout, "mongod did not start in time", () => !isDownloading)),
          Effect.raceFirst(giveUp("15 minutes", "mongod was not downloaded and started within 15 minutes", () => true))
        )
      }))
    return (yield* Effect.orDie(Schema.decode(Ready)(readyLine.exec(line)?.[1] ?? ""))).url
  })
