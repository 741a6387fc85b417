/**
 * Runs programs of this project in processes of their own, and finds what they leave behind.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as ChildProcess from "node:child_process"
import * as FileSystem from "node:fs"
import * as OperatingSystem from "node:os"
import * as Path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { live } from "../../../src/testing/internal/live.js"
import * as Child from "../../tools/child.js"
import * as OneFile from "../../tools/oneFile.js"

/** A folder for temporary files that only this test uses, so that it sees whatever is left in it. */
export const temporaryFolder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => FileSystem.mkdtempSync(Path.join(OperatingSystem.tmpdir(), "effect-mongo-session-test-"))),
  (path) => Effect.sync(() => FileSystem.rmSync(path, { recursive: true, force: true }))
)

/** A program that runs. */
export interface Program {
  /** The first line that it printed. */
  readonly firstLine: Effect.Effect<string>
  /** What it has written to its standard error so far. */
  readonly errors: Effect.Effect<ReadonlyArray<string>>
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  readonly ended: Effect.Effect<unknown>
}

/** A program as one file; the scope removes it. */
export const bundled = (program: URL): Effect.Effect<URL, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const folder = OneFile.newFolder()
        await OneFile.write(fileURLToPath(program), Path.join(folder, "program.mjs"))
        return folder
      }),
      (folder) => Effect.sync(() => FileSystem.rmSync(folder, { recursive: true, force: true }))
    ),
    (folder) => pathToFileURL(Path.join(folder, "program.mjs"))
  )

/** Starts a program; the scope kills it. */
export const start = (
  program: URL,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string | undefined>> = {}
): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        Child.startProgram(fileURLToPath(program), args, {
          env: { ...process.env, ...env },
          stdio: ["ignore", "pipe", "pipe"]
        })
      ),
      ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    ({ child, ended, firstLine }) => {
      const errors: Array<string> = []
      Child.onLine(child.stderr, (line) => errors.push(line))
      return {
        firstLine: Effect.flatMap(
          Effect.promise(() => firstLine),
          (line) =>
            line === undefined
              ? Effect.die(new Error(`ended without a word: ${errors.join("\n")}`))
              : Effect.succeed(line)
        ),
        errors: Effect.sync(() => errors.slice()),
        kill: (signal) => Effect.sync(() => child.kill(signal)),
        ended: Effect.promise(() => ended)
      }
    }
  )

/** The processes that have the text in their command line, one line each. */
export const processesWith = (text: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.sync(() =>
    ChildProcess.execFileSync("ps", ["-A", "-ww", "-o", "pid=,args="], { encoding: "utf8", maxBuffer: 1 << 26 })
      .split("\n")
      .filter((line) => line.includes(text))
  )

/** Waits, in real time and for at most 10 s, until the effect gives an empty list; gives what was left. */
export const untilNone = (effect: Effect.Effect<ReadonlyArray<string>>): Effect.Effect<ReadonlyArray<string>> =>
  live(
    Effect.repeat(effect, {
      until: (left) => left.length === 0,
      schedule: Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(200))
    }).pipe(Effect.zipRight(effect))
  )

/** The names in a folder. */
export const entries = (folder: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.sync(() => FileSystem.readdirSync(folder))
