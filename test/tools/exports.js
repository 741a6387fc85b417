// Loads the built package by its public names, as a user does, and sees that its private modules stay closed.
import { existsSync, readdirSync, readFileSync } from "node:fs"

const { name } = JSON.parse(readFileSync("package.json", "utf8"))
const modules = (folder) =>
  existsSync(`dist/${folder}`)
    ? readdirSync(`dist/${folder}`).filter((file) => file.endsWith(".js")).map((file) => folder + file.slice(0, -3))
    : []
const load = (module) => import(`${name}/${module}`).then(() => "open", (error) => error.code ?? String(error))

const open = [...modules(""), ...modules("testing/")].filter((module) => module !== "index")
const closed = ["index", ...modules("internal/"), ...modules("testing/internal/")]

let wrong = 0
const expectAll = async (list, expected) => {
  for (const module of list) {
    const outcome = await load(module)
    if (outcome === expected) continue
    wrong++
    console.error(`${name}/${module}: ${outcome}, expected ${expected}`)
  }
}
await import(name)
await expectAll(open, "open")
await expectAll(closed, "ERR_PACKAGE_PATH_NOT_EXPORTED")
console.log(`${open.length} modules open, ${closed.length} closed, ${wrong} wrong`)
process.exitCode = wrong > 0 || open.length === 0 ? 1 : 0
