// The backend in examples/backend with its own dependencies: its types, and a short version of its test.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Group from "../group.js"
import { type End, failed, root } from "./end.js"

const { dependencies } = JSON.parse(readFileSync(join(root, "examples/backend/package.json"), "utf8")) as {
  readonly dependencies: Readonly<Record<string, string>>
}
const { "@effect/platform": platform = "", "@effect/platform-node": node = "" } = dependencies

const short = ["--seconds", "5", "--clients", "16", "--no-browser"]

export const backend: End = {
  name: "backend",
  versions: { "@effect/platform": platform, "@effect/platform-node": node },
  stages: ["backend"],
  run: async () => {
    const problem = await Group.execute("npm", ["run", "--silent", "backend:test", "--", ...short], { cwd: root })
    return problem === undefined ? { passed: 1, failed: [], skipped: [] } : failed("backend:test", problem)
  }
}
