// `npm run backend` and `npm run backend:test`: runs a script of the backend in examples/backend, which has dependencies of its
// own.
import { join } from "node:path"
import { install, npm } from "./apart.js"
import { root } from "./ends/end.js"

const folder = join(root, "examples/backend")
const [script = "start", ...args] = process.argv.slice(2)
const problem = await install(folder, "the backend") ?? await npm(["run", "--silent", script, "--", ...args], folder)
if (problem !== undefined) {
  console.error(problem)
  process.exitCode = 1
}
