/**
 * SecantusDB, a server that speaks MongoDB's wire protocol, from the Python Package Index: installed once into a virtual
 * environment in the cache, run as a process of its own.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import * as FileSystem from "node:fs"
import * as OperatingSystem from "node:os"
import * as Path from "node:path"
import * as Cache from "./cache.js"
import * as Child from "./child.js"
import * as Probe from "./probe.js"
import * as Python from "./python.js"
import type { Credentials, Wanted } from "./way.js"
import { undoneOnFailure, WayFailed } from "./way.js"

/** The one release that this library is tested with. It is a pre-release: pip takes it only when asked for exactly it. */
const version = "0.7.0b3"

const requirement = `secantusdb==${version}`

/** Starts a server, which the scope stops; gives its connection string, without a user. */
export const start = (wanted: Wanted): Effect.Effect<string, WayFailed, Scope.Scope> =>
  Effect.gen(function*() {
    if (Object.keys(wanted.parameters).length > 0) {
      return yield* new WayFailed({
        reason: "SecantusDB has no server parameters",
        fix: "leave out the option `parameters`, or let a mongod be used"
      })
    }
    const python = yield* installed(wanted, Effect.succeed(true))
    return yield* Effect.catchAll(undoneOnFailure(serve(python, wanted)), (failed) =>
      // an installation breaks when the Python it was made from is upgraded or removed
      Effect.if(works(python), {
        onTrue: () => Effect.fail(failed),
        onFalse: () => Effect.zipRight(installed(wanted, works(python)), undoneOnFailure(serve(python, wanted)))
      }))
  }).pipe(
    Effect.catchTag("CacheFailed", (failed) =>
      new WayFailed({
        reason: failed.message,
        fix: "make the cache folder writable, or set EFFECT_MONGO_SESSION_CACHE"
      }))
  )

// ---------------------------------------------------------------------------------------------------------------------
// the process
// ---------------------------------------------------------------------------------------------------------------------

const listening = /listening on (\S+):(\d+)$/

const serve = (python: string, wanted: Wanted): Effect.Effect<string, WayFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const home = yield* temporaryFolder
    // data that are thrown away need no orderly end, which takes seconds
    const manner = Option.isSome(wanted.storagePath) ? "wait" : "kill"
    const { host } = yield* Option.match(wanted.credentials, {
      onNone: () => run(python, home, wanted, manner, []),
      onSome: (credentials) =>
        Effect.zipRight(addUser(python, home, wanted, credentials), run(python, home, wanted, manner, ["--auth"]))
    })
    return `mongodb://${host}/${wanted.standalone ? "" : "?replicaSet=secantus"}`
  })

const temporaryFolder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  // the server's process makes it: so there is no moment in which it exists and nobody would remove it
  Effect.sync(() => Path.join(OperatingSystem.tmpdir(), `effect-mongo-session-${randomUUID()}`)),
  (path) => Effect.sync(() => FileSystem.rmSync(path, { recursive: true, force: true, maxRetries: 3 }))
)

const run = (
  python: string,
  home: string,
  wanted: Wanted,
  manner: "kill" | "wait",
  flags: ReadonlyArray<string>
): Effect.Effect<{ readonly host: string; readonly child: Child.Child }, WayFailed, Scope.Scope> =>
  Effect.gen(function*() {
    // port 0: the system chooses, so that nobody else can take the port between choosing and binding
    const port = String(Option.getOrElse(wanted.port, () => 0))
    const storage = Option.match(wanted.storagePath, { onNone: () => "data", onSome: (path) => Path.resolve(path) })
    const child = yield* Child.start({
      command: python,
      args: [
        ...["-I", "-c", Python.serve, home, manner],
        ...["--host", "127.0.0.1", "--port", port, "--storage-path", storage, "--cache-size", "256M"],
        ...["--enable-test-commands", ...(wanted.standalone ? ["--standalone"] : []), ...flags]
      ],
      ready: listening
    })
    const line = yield* child.ready.pipe(
      Effect.mapError((ended) => notStarted(ended, port)),
      Effect.timeoutFail({ duration: wanted.startTimeout, onTimeout: () => tooSlow })
    )
    const [, address, bound] = listening.exec(line) ?? []
    return { host: `${address}:${bound}`, child }
  })

// access control can only be switched on for a storage that has a user already; once that is on the disk, so is the rest
const addUser = (python: string, home: string, wanted: Wanted, credentials: Credentials) =>
  Effect.scoped(Effect.gen(function*() {
    const { child, host } = yield* run(python, home, { ...wanted, port: Option.none() }, "kill", [])
    yield* Probe.addUser(`mongodb://${host}/?directConnection=true`, credentials)
    yield* child.send("keep\n")
  }))

const notStarted = (ended: Child.ChildEnded, port: string): WayFailed => {
  const taken = ended.output.some((line) => line.includes("Address already in use"))
  return new WayFailed({
    reason: taken ? `port ${port} is in use` : `SecantusDB ${ended.message}`,
    fix: taken ? "give another port, or none: then a free one is chosen" : "see its output",
    output: ended.output
  })
}

const tooSlow = new WayFailed({ reason: "SecantusDB did not start in time", fix: "give a longer `startTimeout`" })

// ---------------------------------------------------------------------------------------------------------------------
// the installation
// ---------------------------------------------------------------------------------------------------------------------

const environmentPath = (cache: string) => Path.join(cache, `secantus-${version}`)

const pythonOf = (environment: string): string =>
  process.platform === "win32"
    ? Path.join(environment, "Scripts", "python.exe")
    : Path.join(environment, "bin", "python")

const isInstalled = (wanted: Wanted): boolean => FileSystem.existsSync(environmentPath(wanted.cache))

const works = (python: string): Effect.Effect<boolean> =>
  Effect.map(
    Child.run({ command: python, args: ["-I", "-c", "import secantus.cli"] }),
    ({ ending }) => ending.code === 0
  )

// The Python of the installation in the cache, which is made first if it is not there or not `good`.
const installed = (
  wanted: Wanted,
  good: Effect.Effect<boolean>
): Effect.Effect<string, WayFailed | Cache.CacheFailed> =>
  Effect.gen(function*() {
    const python = pythonOf(environmentPath(wanted.cache))
    const lock = `${environmentPath(wanted.cache)}.lock`
    const isGood = Effect.suspend(() => isInstalled(wanted) ? good : Effect.succeed(false))
    const once = Effect.scoped(Effect.gen(function*() {
      if (yield* isGood) return true
      if (!(yield* Cache.tryLock(lock))) return false
      // it may have been made between looking and locking
      if (!(yield* isGood)) yield* install(wanted)
      return true
    }))
    if (yield* once) return python
    yield* wanted.progress.during(
      `waiting for ${yield* Cache.holder(lock)}, which is installing SecantusDB ${version}`,
      () => Effect.repeat(once, { until: (done) => done, schedule: Schedule.spaced("250 millis") })
    )
    return python
  })

const install = (wanted: Wanted): Effect.Effect<void, WayFailed | Cache.CacheFailed> =>
  Effect.gen(function*() {
    const python = yield* findPython
    yield* removeLeftovers(wanted)
    yield* wanted.progress.during(`installing SecantusDB ${version} (once)`, (update) =>
      Effect.scoped(Effect.gen(function*() {
        // made beside its place and moved there when complete; started as `python -m`, it does not mind being moved
        const unfinished = yield* Effect.acquireRelease(
          Effect.sync(() =>
            `${environmentPath(wanted.cache)}.${process.pid}-${randomUUID().slice(0, 8)}.tmp`
          ),
          (path) => Effect.sync(() => FileSystem.rmSync(path, { recursive: true, force: true, maxRetries: 3 }))
        )
        const { ending, output } = yield* Child.run({
          command: python,
          args: ["-I", "-c", Python.install, unfinished, requirement, "secantus.cli"],
          onLine: (line) => update(`installing SecantusDB ${version} (once): ${line.trim()}`)
        }).pipe(Effect.timeoutFail({ duration: "10 minutes", onTimeout: () => installTooSlow }))
        if (ending.code !== 0) return yield* notInstalled(ending, output)
        yield* Cache.attempt("putting the installation in place", () => moveUnlessThere(unfinished, wanted))
      })))
  })

const moveUnlessThere = (unfinished: string, wanted: Wanted): void => {
  try {
    FileSystem.renameSync(unfinished, environmentPath(wanted.cache))
  } catch (error) {
    // another process was quicker: its installation is as good
    if (!isInstalled(wanted)) throw error
  }
}

// a broken installation, and what installers left that were killed
const removeLeftovers = (wanted: Wanted) =>
  Cache.attempt("removing old installations", () => {
    FileSystem.rmSync(environmentPath(wanted.cache), { recursive: true, force: true })
    for (const name of FileSystem.readdirSync(wanted.cache)) {
      const pid = /^secantus-.*\.(\d+)-\w+\.tmp$/.exec(name)?.[1]
      if (pid !== undefined && !Cache.isAlive(Number(pid))) {
        FileSystem.rmSync(Path.join(wanted.cache, name), { recursive: true, force: true })
      }
    }
  })

const notInstalled = (ending: Child.Ending, output: ReadonlyArray<string>): WayFailed =>
  new WayFailed({
    reason: `pip could not install ${requirement} (${Child.describeEnding(ending)})`,
    fix:
      "see its output; it needs the network, or a mirror or wheel folder in pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS)",
    output
  })

const installTooSlow = new WayFailed({
  reason: `pip was not done installing ${requirement} after 10 minutes`,
  fix: "try again with a better network"
})

// ---------------------------------------------------------------------------------------------------------------------
// Python
// ---------------------------------------------------------------------------------------------------------------------

const newest = 13
const oldest = 10

const candidates = (): ReadonlyArray<string> => {
  const given = process.env["PYTHON"]
  const minors = Array.from({ length: newest - oldest + 1 }, (_, n) => `python3.${newest - n}`)
  return [...(given === undefined || given === "" ? [] : [given]), "python3", ...minors, "python"]
}

const findPython: Effect.Effect<string, WayFailed> = Effect.gen(function*() {
  const refused: Array<string> = []
  for (const candidate of candidates()) {
    const problem = yield* problemOf(candidate)
    if (Option.isNone(problem)) return candidate
    refused.push(`${candidate}: ${problem.value}`)
  }
  return yield* new WayFailed({
    reason: `no Python from 3.${oldest} on that can make virtual environments was found`,
    fix: `install one (on Debian and Ubuntu: python3 and python3-venv), or name it in the environment variable PYTHON`,
    output: refused
  })
})

const problemOf = (python: string): Effect.Effect<Option.Option<string>> =>
  Child.run({ command: python, args: ["-I", "-c", Python.describe], grace: "100 millis" }).pipe(
    Effect.map(({ ending, output }) => {
      if (ending.problem !== undefined) {
        return Option.some(ending.problem.includes("ENOENT") ? "not found" : ending.problem)
      }
      if (ending.code !== 0) return Option.some(Child.describeEnding(ending))
      const [, major, minor] = /^version (\d+)\.(\d+)/m.exec(output.join("\n")) ?? []
      if (Number(major) !== 3 || Number(minor) < oldest) return Option.some(`is version ${major}.${minor}, too old`)
      const lacking = output.find((line) => line.startsWith("lacks "))
      return lacking === undefined ? Option.none() : Option.some(`${lacking}, the package python3-venv`)
    }),
    Effect.timeoutTo({
      duration: "20 seconds",
      onSuccess: (problem) => problem,
      onTimeout: () => Option.some("did not answer")
    })
  )
