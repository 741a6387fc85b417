/**
 * Programs of the benchmark in processes of their own, each of which prints one line of JSON.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

/** Something that had to be done could not be. */
export class Failed extends Data.TaggedError("Failed")<{ readonly message: string }> {}

/** A promise as an effect. */
export const promised = <A>(make: () => Promise<A>): Effect.Effect<A, Failed> =>
  Effect.tryPromise({ try: make, catch: (error) => new Failed({ message: String(error) }) })

export const root = fileURLToPath(new URL("../", import.meta.url))

/** Starts a program of this folder; gives the process and what it prints. */
export const start = <A>(
  program: string,
  args: ReadonlyArray<string>
): { readonly child: ChildProcess; readonly printed: Promise<A> } =>
  printing(["--import", "tsx", fileURLToPath(new URL(program, import.meta.url)), ...args], root)

/** Starts Node.js; gives the process and what it prints. */
export const printing = <A>(
  args: ReadonlyArray<string>,
  folder: string
): { readonly child: ChildProcess; readonly printed: Promise<A> } => {
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ["pipe", "pipe", "inherit"] })
  const printed = new Promise<A>((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", (line) => resolve(JSON.parse(line)))
    child.once("error", reject)
    child.once("close", (code, signal) => reject(new Error(`${args.join(" ")} ended with ${signal ?? code}`)))
  })
  return { child, printed }
}

/** Runs a command to its end. */
export const execute = (command: string, args: ReadonlyArray<string>, folder: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: folder, stdio: ["ignore", 2, 2] })
    child.once("error", reject)
    child.once(
      "close",
      (code, signal) =>
        code === 0 ? resolve() : reject(new Error(`${command} ${args.join(" ")} ended with ${signal ?? code}`))
    )
  })
