// The window of the folder inspect with its own dependencies: built, and looked at in a terminal.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Group from "../group.js"
import { counted, type End, failed, root } from "./end.js"

const { dependencies } = JSON.parse(readFileSync(join(root, "inspect/package.json"), "utf8")) as {
  readonly dependencies: Readonly<Record<string, string>>
}
const { "@effect/cli": cli = "" } = dependencies

export const inspect: End = {
  name: "inspect",
  versions: { "@effect/cli": cli },
  stages: ["inspect"],
  run: async () => {
    // Installs and builds it.
    const missing = await Group.execute("npm", ["run", "--silent", "inspect", "--", "--help"], { cwd: root })
    return missing === undefined
      ? counted("inspect", ["test:integration", "--", "Inspect"])
      : failed("inspect --help", missing)
  }
}
