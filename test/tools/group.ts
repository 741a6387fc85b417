// Commands in process groups of their own: a signal to this program, or a time limit, ends all that they have started.
import type { StdioOptions } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"
import { start } from "./child.js"

let stopped = false
const running = new Set<number>()

// For as long as this program lives: between two commands, too, it has something to tidy up.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    stopped = true
    for (const group of running) send(group, signal)
  })
}

/** Whether this program was told to stop. What it ran at that moment has ended, and nothing is to be begun. */
export const isStopped = (): boolean => stopped

export interface Options {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly timeLimit?: number
  /** Where the output goes: where this program's goes (default), nowhere, or to an open file. */
  readonly output?: "quiet" | number
}

/** Runs a command until nothing of it is left; gives what went wrong with it. */
export const execute = async (
  command: string,
  args: ReadonlyArray<string>,
  options: Options
): Promise<string | undefined> => {
  const { output = "inherit" } = options
  const stdio: StdioOptions = output === "quiet" ? "ignore" : ["ignore", output, output]
  const { child, ended } = start(command, args, {
    stdio,
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    detached: true
  })
  if (child.pid !== undefined) running.add(child.pid)
  let late: string | undefined
  const { timeLimit } = options
  const timer = timeLimit === undefined ? undefined : setTimeout(() => {
    late = `took longer than ${timeLimit / 60_000} min`
    void end(child.pid)
  }, timeLimit)
  const problem = await ended
  clearTimeout(timer)
  // What it has started may need a moment more than itself.
  await end(child.pid)
  if (child.pid !== undefined) running.delete(child.pid)
  return late ?? problem
}

/** Whether there was anything in the group to be told. */
const send = (group: number | undefined, signal: NodeJS.Signals | 0): boolean => {
  if (group === undefined) return false
  try {
    return process.kill(-group, signal)
  } catch {
    return false
  }
}

/** Ends what is in the group, gently at first. */
const end = async (group: number | undefined): Promise<void> => {
  send(group, "SIGTERM")
  for (const until = performance.now() + patience; performance.now() < until && send(group, 0);) await sleep(50)
  send(group, "SIGKILL")
}

const patience = 10_000
