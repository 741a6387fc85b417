/**
 * A child process as a scoped resource: it never outlives its scope, and it learns from its closed standard input when
 * this process has died without saying so.
 */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as ChildProcess from "node:child_process"
import * as Readline from "node:readline"
import { live } from "./live.js"

/** How a child ended. */
export interface Ending {
  readonly code: number | null
  readonly signal: string | null
  /** Why it could not be started at all. */
  readonly problem?: string | undefined
}

/** A running child. */
export interface Child {
  /** Waits for the end of the child; its output is complete then. */
  readonly ended: Effect.Effect<Ending>
  /** Waits for the first line that matched `ready`; fails if the child ends before. */
  readonly ready: Effect.Effect<string, ChildEnded>
  /** Writes to its standard input. */
  readonly send: (text: string) => Effect.Effect<void>
  /** The last lines of its output so far, both streams together. */
  readonly output: Effect.Effect<ReadonlyArray<string>>
}

/** The child ended before it was ready. */
export class ChildEnded extends Data.TaggedError("ChildEnded")<{
  readonly ending: Ending
  readonly output: ReadonlyArray<string>
}> {
  override get message(): string {
    return describeEnding(this.ending)
  }
}

/** Options of {@link start}. */
export interface Options {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly cwd?: string | undefined
  readonly env?: NodeJS.ProcessEnv | undefined
  /** Recognises the line that says that the child is ready. */
  readonly ready?: RegExp | undefined
  /** How long the child may take to end by itself once its input is closed. Default 10 s. */
  readonly grace?: Duration.DurationInput | undefined
  /** Called with every line of the output. */
  readonly onLine?: ((line: string) => void) | undefined
}

/** Starts the child; closing the scope closes its input, waits, and kills whatever is left. */
export const start = (options: Options): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(Effect.sync(() => spawn(options)), stop(options.grace ?? "10 seconds")),
    (running) => ({
      ended: Deferred.await(running.ended),
      ready: Deferred.await(running.ready),
      send: (text) => Effect.sync(() => void running.child.stdin.write(text)),
      output: Effect.sync(() => running.lines.slice())
    })
  )

/** What a child that runs to its end printed, and how it ended. */
export const run = (
  options: Options
): Effect.Effect<{ readonly ending: Ending; readonly output: ReadonlyArray<string> }> =>
  Effect.scoped(Effect.gen(function*() {
    const child = yield* start(options)
    const ending = yield* child.ended
    return { ending, output: yield* child.output }
  }))

/** The ending in words. */
export const describeEnding = (ending: Ending): string =>
  ending.problem ?? (ending.signal === null ? `ended with exit code ${ending.code}` : `was ended by ${ending.signal}`)

interface Running {
  readonly child: ChildProcess.ChildProcessWithoutNullStreams
  readonly lines: Array<string>
  readonly ended: Deferred.Deferred<Ending>
  readonly ready: Deferred.Deferred<string, ChildEnded>
}

const keptLines = 60

const spawn = (options: Options): Running => {
  const child = ChildProcess.spawn(options.command, options.args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: "pipe",
    // its own group: Ctrl-C reaches this process only, which stops the child when its finalizers have run
    detached: process.platform !== "win32",
    windowsHide: true
  })
  const lines: Array<string> = []
  const ended = Effect.runSync(Deferred.make<Ending>())
  const ready = Effect.runSync(Deferred.make<string, ChildEnded>())
  const onLine = (line: string) => {
    lines.push(line)
    if (lines.length > keptLines) lines.shift()
    if (options.ready?.test(line) === true) Deferred.unsafeDone(ready, Effect.succeed(line))
    options.onLine?.(line)
  }
  const onEnd = (ending: Ending) => {
    Deferred.unsafeDone(ready, Effect.fail(new ChildEnded({ ending, output: lines.slice() })))
    Deferred.unsafeDone(ended, Effect.succeed(ending))
  }
  Readline.createInterface({ input: child.stdout }).on("line", onLine)
  Readline.createInterface({ input: child.stderr }).on("line", onLine)
  child.once("error", (error) => {
    if (child.pid === undefined) onEnd({ code: null, signal: null, problem: error.message })
  })
  // what a dead leader leaves in its group would otherwise live on
  child.once("exit", () => killGroup(child))
  child.once("close", (code, signal) => onEnd({ code, signal }))
  // a child that ends early breaks the pipe; its ending is reported through `ended`
  child.stdin.on("error", (error) => void lines.push(`(standard input: ${error.message})`))
  return { child, lines, ended, ready }
}

const stop = (grace: Duration.DurationInput) => (running: Running): Effect.Effect<void> =>
  Effect.gen(function*() {
    running.child.stdin.end()
    const ending = yield* Effect.timeoutOption(
      // closing a scope cannot be interrupted, and then no time limit would end the wait
      Effect.interruptible(Deferred.await(running.ended)),
      Duration.decode(grace)
    )
    if (Option.isSome(ending)) return
    killGroup(running.child)
    yield* Effect.timeoutOption(Effect.interruptible(Deferred.await(running.ended)), "10 seconds")
  }).pipe(live)

const killGroup = (child: ChildProcess.ChildProcess): void => {
  if (child.pid === undefined) return
  try {
    if (process.platform === "win32") child.kill("SIGKILL")
    else process.kill(-child.pid, "SIGKILL")
  } catch {
    // it ended by itself between the two steps
  }
}
