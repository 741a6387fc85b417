// Downloads things once into folders of the cache, each of which is complete or missing.
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs"
import { basename, join } from "node:path"
import { isAlive } from "../../../src/testing/internal/owner.js"
import * as Group from "../group.js"

/** Something that is not available here, with the reason: no failure of the project. */
export class Unavailable extends Error {
  /** What was printed about it. */
  readonly printed: string

  constructor(reason: string, printed = "") {
    super(reason)
    this.printed = printed
  }
}

/** The folder of that name in the cache. The first call makes it; what is left of an attempt that failed is removed. */
export const kept = async (cache: string, name: string, make: (folder: string) => Promise<void>): Promise<string> => {
  const place = join(cache, name)
  if (existsSync(place)) return place
  mkdirSync(cache, { recursive: true })
  removeLeftovers(cache, name)
  const unfinished = `${place}.${process.pid}.tmp`
  mkdirSync(unfinished)
  try {
    await make(unfinished)
    moveUnlessThere(unfinished, place)
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
  return place
}

const moveUnlessThere = (from: string, to: string): void => {
  try {
    renameSync(from, to)
  } catch (error) {
    // Another process was quicker: its folder is as good.
    if (!existsSync(to)) throw error
  }
}

// A process that was killed could not tidy up.
const removeLeftovers = (cache: string, name: string): void => {
  for (const entry of readdirSync(cache)) {
    const pid = entry.startsWith(`${name}.`) ? /\.(\d+)\.tmp$/.exec(entry)?.[1] : undefined
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(cache, entry), { recursive: true, force: true })
  }
}

const timeLimit = 10 * 60_000

/** Runs a command in silence, and gives what it printed. What goes wrong with it is the reason why it is not available. */
export const quietly = async (
  command: string,
  args: ReadonlyArray<string>,
  { cwd, env, log }: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly log: string }
): Promise<string> => {
  const file = openSync(log, "w")
  try {
    const problem = await Group.execute(command, args, {
      timeLimit,
      output: file,
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env })
    })
    const printed = readFileSync(log, "utf8")
    if (problem === undefined && !Group.isStopped()) return printed
    const last = printed.trimEnd().split("\n").at(-1)?.trim() ?? ""
    throw new Unavailable(
      [`${basename(command)} ${problem ?? "was stopped"}`, last].filter((text) => text !== "").join(": "),
      printed
    )
  } finally {
    closeSync(file)
    rmSync(log, { force: true })
  }
}
