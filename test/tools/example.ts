// `npm run example 04` runs the step of that number, `npm run example outbox` the example of that name; without, it lists
// them all.
import { resolve } from "node:path"
import { named, programs } from "./programs.js"

const files = programs()
const [wanted] = process.argv.slice(2)
const found = wanted === undefined ? files : named(wanted, files)
const [file] = found
if (wanted !== undefined && file !== undefined && found.length === 1) await import(resolve(file))
else {
  if (wanted !== undefined) console.error(`${found.length === 0 ? "No example" : "Several examples"}: ${wanted}`)
  console.log((found.length === 0 ? files : found).join("\n"))
  process.exitCode = wanted === undefined ? 0 : 2
}
