// `npm run check`: the compiler's own errors and those of Effect's language service, in one pass over the types. The
// service works inside of a patched copy of the compiler. Its garbage is short-lived: a large space for it saves a fifth of
// the time.
import { cpSync, existsSync, readFileSync, renameSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join, resolve } from "node:path"
import * as Group from "./group.js"

const folderOf = (name: string) => dirname(createRequire(import.meta.url).resolve(`${name}/package.json`))
const versionOf = (folder: string): string => JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version

const compiler = folderOf("typescript")
const service = folderOf("@effect/language-service")
const patched = resolve(`node_modules/.cache/typescript-${versionOf(compiler)}-effect-${versionOf(service)}`)

const patch = async (): Promise<string | undefined> => {
  if (existsSync(patched)) return undefined
  // complete or not at all: two may do it at the same time
  const unfinished = `${patched}.${process.pid}.tmp`
  cpSync(compiler, unfinished, { recursive: true })
  const problem = await Group.execute("npx", [
    "effect-language-service",
    "patch",
    "--dir",
    unfinished,
    "--module",
    "tsc"
  ], {
    output: "quiet"
  })
  if (problem === undefined && !existsSync(patched)) renameSync(unfinished, patched)
  else rmSync(unfinished, { recursive: true, force: true })
  return problem
}

const problem = await patch() ??
  await Group.execute(process.execPath, [
    "--max-semi-space-size=128",
    join(patched, "lib/tsc.js"),
    "-p",
    "tsconfig.json"
  ], {})
if (problem !== undefined) {
  console.error(problem)
  process.exitCode = 1
}
