// The one place where tests, tools and the benchmark start programs.
import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process"
import { createInterface } from "node:readline"

/** A program that was started. */
export interface Started {
  readonly child: ChildProcess
  /** The first line of its standard output; `undefined` if it ends without one. */
  readonly firstLine: Promise<string | undefined>
  /** What went wrong with it, once it has ended and its output is complete; `undefined` for nothing. */
  readonly ended: Promise<string | undefined>
}

/** Starts a program. */
export const start = (command: string, args: ReadonlyArray<string>, options: SpawnOptions): Started => {
  const child = spawn(command, args, options)
  const ended = new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => resolve(error.message))
    child.once(
      "close",
      (code, signal) => resolve(code === 0 ? undefined : `ended with ${signal ?? `exit code ${code}`}`)
    )
  })
  const firstLine = new Promise<string | undefined>((resolve) => {
    onLine(child.stdout, resolve)
    void ended.then(() => resolve(undefined))
  })
  return { child, firstLine, ended }
}

/** Starts a program, of TypeScript or of JavaScript. */
export const startProgram = (file: string, args: ReadonlyArray<string>, options: SpawnOptions): Started =>
  start(process.execPath, [...(file.endsWith(".ts") ? ["--import", "tsx"] : []), file, ...args], options)

/** Passes each line of a stream on, if there is one. */
export const onLine = (stream: NodeJS.ReadableStream | null, listener: (line: string) => void): void => {
  if (stream !== null) createInterface({ input: stream }).on("line", listener)
}
