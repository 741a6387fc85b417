// Commands of a person at a terminal: what they print is shown only when they fail.
import { start } from "../tools/child.js"

export interface Result {
  /** What went wrong, with all that was printed; `undefined` for nothing. */
  readonly problem: string | undefined
  readonly stdout: string
}

// Installing comes from a network, and the first program may have to fetch a server.
const timeLimit = 240_000

export const run = async (
  command: string,
  args: ReadonlyArray<string>,
  cwd: string,
  env: NodeJS.ProcessEnv = {}
): Promise<Result> => {
  const printed: Array<string> = []
  const stdout: Array<string> = []
  const { child, ended } = start(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    signal: AbortSignal.timeout(timeLimit)
  })
  child.stdout?.on("data", (data) => {
    stdout.push(String(data))
    printed.push(String(data))
  })
  child.stderr?.on("data", (data) => printed.push(String(data)))
  const problem = await ended
  return {
    problem: problem === undefined ? undefined : `${[command, ...args].join(" ")} ${problem}\n${printed.join("")}`,
    stdout: stdout.join("")
  }
}

/** What a command prints that has to succeed. */
export const output = async (command: string, args: ReadonlyArray<string>, cwd: string): Promise<string> => {
  const { problem, stdout } = await run(command, args, cwd)
  if (problem !== undefined) throw new Error(problem)
  return stdout
}
