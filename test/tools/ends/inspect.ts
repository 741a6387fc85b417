// The window of the folder inspect with its own dependencies: built, and looked at in a terminal.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Counts from "../counts.js"
import * as Group from "../group.js"
import { type End, failed, root } from "./end.js"

const { dependencies } = JSON.parse(readFileSync(join(root, "inspect/package.json"), "utf8")) as {
  readonly dependencies: Readonly<Record<string, string>>
}
const { "@effect/cli": cli = "" } = dependencies

const execute = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  Group.execute("npm", ["run", "--silent", ...args], { cwd: root, env })

export const inspect: End = {
  name: "inspect",
  versions: { "@effect/cli": cli },
  stages: ["inspect"],
  run: async () => {
    // Installs and builds it.
    const missing = await execute(["inspect", "--", "--help"])
    if (missing !== undefined) return failed("inspect --help", missing)
    const folder = mkdtempSync(join(tmpdir(), "effect-mongo-session-inspect-"))
    try {
      const file = join(folder, "counts.json")
      const problem = await execute(["test:integration", "--", "Inspect"], { [Counts.variable]: file })
      const counts = existsSync(file) ? Counts.read(file) : failed("Inspect", problem ?? "it ended without a result")
      return problem === undefined || counts.failed.length > 0 ? counts : failed("Inspect", problem)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
