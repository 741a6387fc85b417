// One end of the supported versions, and the result of its run.
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import * as Counts from "../counts.js"
import * as Group from "../group.js"

export interface End {
  readonly name: string
  /** What is not as it is for the developers. */
  readonly versions: Readonly<Record<string, string>>
  /** What can be run at this end. */
  readonly stages: ReadonlyArray<string>
  readonly run: (stages: ReadonlyArray<string>) => Promise<Counts.Counts>
  /** Makes its lockfile anew; absent where it has none. */
  readonly lock?: () => Promise<boolean>
}

/** The folder of the project. */
export const root = resolve(import.meta.dirname, "../../..")

/** The folder for what is fetched once, which all ends and the tests share. */
export const cache = process.env["EFFECT_MONGO_SESSION_CACHE"] ??
  resolve(root, "node_modules/.cache/effect-mongo-session")

export const failed = (test: string, reason: string): Counts.Counts => {
  console.log(`FAILED  ${test}: ${reason}`)
  return { passed: 0, failed: [{ test, reason }], skipped: [] }
}

export const skipped = (test: string, reason: string): Counts.Counts => {
  console.log(`skipped ${test}: ${reason}`)
  return { passed: 0, failed: [], skipped: [{ test, reason }] }
}

/** Runs a script of the project that counts its own tests. */
export const counted = async (name: string, args: ReadonlyArray<string>): Promise<Counts.Counts> => {
  const folder = mkdtempSync(join(tmpdir(), `effect-mongo-session-${name}-`))
  try {
    const file = join(folder, "counts.json")
    const problem = await Group.execute("npm", ["run", "--silent", ...args], {
      cwd: root,
      env: { [Counts.variable]: file }
    })
    const counts = existsSync(file) ? Counts.read(file) : failed(name, problem ?? "it ended without a result")
    return problem === undefined || counts.failed.length > 0 ? counts : failed(name, problem)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
