// `npm run example 04` runs the example of that number; without one, it lists them all.
import { readdirSync } from "node:fs"
import { resolve } from "node:path"

const files = readdirSync("examples").filter((file) => /^\d\d-.*\.ts$/.test(file)).sort()
const [number] = process.argv.slice(2)
const file = number === undefined ? undefined : files.find((name) => name.startsWith(`${number.padStart(2, "0")}-`))
if (file !== undefined) await import(resolve("examples", file))
else {
  console.log(files.join("\n"))
  process.exitCode = number === undefined ? 0 : 2
}
