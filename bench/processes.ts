/**
 * Starts programs of the benchmark, each of which prints one line of JSON.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import * as Child from "../test/tools/child.js"

/** Something that had to be done could not be. */
export class Failed extends Data.TaggedError("Failed")<{ readonly message: string }> {}

/** A promise as an effect. */
export const promised = <A>(make: () => Promise<A>): Effect.Effect<A, Failed> =>
  Effect.tryPromise({ try: make, catch: (error) => new Failed({ message: String(error) }) })

export const root = fileURLToPath(new URL("../", import.meta.url))

/** A process, and what it prints. */
export interface Printing<A> extends Pick<Child.Started, "child"> {
  readonly printed: Promise<A>
}

/** Starts a program of this folder. */
export const start = <A>(program: string, args: ReadonlyArray<string>): Printing<A> =>
  printing(["--import", "tsx", fileURLToPath(new URL(program, import.meta.url)), ...args], root)

/** Starts Node.js. */
export const printing = <A>(args: ReadonlyArray<string>, folder: string): Printing<A> => {
  const started = Child.start(process.execPath, args, { cwd: folder, stdio: ["pipe", "pipe", "inherit"] })
  return { child: started.child, printed: answer(started, args) }
}

const answer = async <A>({ ended, firstLine }: Child.Started, args: ReadonlyArray<string>): Promise<A> => {
  const line = await firstLine
  if (line === undefined) throw new Error(`${args.join(" ")} ${await ended ?? "printed nothing"}`)
  return JSON.parse(line)
}

/** Runs a command to its end. */
export const execute = async (command: string, args: ReadonlyArray<string>, folder: string): Promise<void> => {
  const problem = await Child.start(command, args, { cwd: folder, stdio: ["ignore", 2, 2] }).ended
  if (problem !== undefined) throw new Error(`${command} ${args.join(" ")} ${problem}`)
}
