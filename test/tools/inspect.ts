// `npm run inspect -- <uri>` and `npm run inspect -- kill <uri> <session>`: runs the window of the folder inspect, which has dependencies of its own.
import { join } from "node:path"
import { install, npm } from "./apart.js"
import { isBuilt } from "./built.js"
import { start } from "./child.js"
import { root } from "./ends/end.js"

const folder = join(root, "inspect")
const main = join(folder, "dist/main.js")
const problem = await install(folder, "inspect") ??
  (isBuilt(main, join(folder, "src")) ? undefined : await npm(["run", "--silent", "build"], folder))
if (problem === undefined) {
  // In the terminal of whoever calls, whose signals it gets. It says itself what goes wrong.
  process.on("SIGINT", () => undefined)
  const args = process.argv.slice(2)
  const command = args[0] === "kill" ? args : ["inspect", ...args]
  const { child, ended } = start(process.execPath, [main, ...command], { stdio: "inherit" })
  await ended
  process.exitCode = child.exitCode ?? 1
} else {
  console.error(problem)
  process.exitCode = 1
}
