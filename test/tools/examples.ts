// Runs every program in examples/ to its end, and holds README.md and docs/ to what the project really contains.
// `npm run test:examples -- --skip <file> <reason>` leaves one out; with `--steps`, only the numbered ones are run.
// `EXAMPLES_RUNTIME` names a runtime that reads TypeScript by itself, as Bun does, or another Node.js.
import { existsSync, readFileSync, rmSync } from "node:fs"
import { basename, join } from "node:path"
import { onLine, start } from "./child.js"
import * as Counts from "./counts.js"
import * as OneFile from "./oneFile.js"
import { readPages } from "./pages.js"
import { problems, programs, steps } from "./programs.js"

// The first program to run may have to install the test server.
const timeLimit = 180_000

const runtime = process.env["EXAMPLES_RUNTIME"] ?? process.execPath
const loader = basename(runtime).startsWith("bun") ? [] : ["--import", "tsx"]

const folder = OneFile.newFolder()
process.on("exit", () => rmSync(folder, { recursive: true, force: true }))

/** The arguments that run a program: as it is, or as one file, which starts sooner. */
const argumentsFor = async (file: string): Promise<ReadonlyArray<string>> => {
  if (process.env["EXAMPLES_RUNTIME"] !== undefined || basename(file) === "main.ts") return [...loader, file]
  const outfile = join(folder, file.replaceAll("/", "-").replace(/ts$/, "mjs"))
  await OneFile.write(file, outfile)
  return [outfile]
}

/** Resolves to what went wrong, in one line, and all that was printed; or to undefined. */
const runProgram = async (file: string): Promise<string | undefined> => {
  const { child, ended } = start(runtime, await argumentsFor(file), { stdio: ["ignore", "pipe", "pipe"] })
  const output: Array<string> = []
  let complaint = ""
  onLine(child.stdout, (line) => output.push(line))
  onLine(child.stderr, (line) => {
    output.push(line)
    if (line.trim() !== "") complaint = `, and says: ${line.trim()}`
  })
  let late = false
  const timer = setTimeout(() => {
    late = true
    child.kill("SIGTERM")
    setTimeout(() => child.kill("SIGKILL"), 10_000).unref()
  }, timeLimit)
  const problem = await ended
  clearTimeout(timer)
  const what = late ? `still running after ${timeLimit / 1000} s` : problem
  return what === undefined ? undefined : [`${what}${complaint}`, ...output].join("\n")
}

/** Each `ts` block that begins with `// file: <path>` must be that file to the letter, with `// from: <path>` a part of it. */
const shownBlocks = (path: string, text: string): ReadonlyArray<readonly [name: string, problem: string | undefined]> =>
  [...text.matchAll(/^```ts\n\/\/ (file|from): (\S+)\n([\s\S]*?)^```$/gm)].map(([, kind, file = "", code = ""]) => {
    const name = `${path} shows ${kind === "from" ? "a part of " : ""}${file}`
    if (!existsSync(file)) return [name, "there is no such file"]
    const source = unindented(readFileSync(file, "utf8"))
    const isSo = kind === "from" ? source.includes(unindented(code)) : source === unindented(code)
    return [name, isSo ? undefined : "the file says something else"]
  })

const unindented = (code: string) => code.trim().replace(/^ +/gm, "")

const unlisted = (text: string, files: ReadonlyArray<string>): string | undefined => {
  // A program of several files is named by any of them.
  const missing = files.filter((file) => !text.includes(file.replace(/main\.ts$/, "")))
  return missing.length === 0 ? undefined : `it does not name ${missing.join(", ")}`
}

const unknownScripts = (text: string): string | undefined => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { readonly scripts: Record<string, string> }
  const named = [...text.matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name = ""]) => name)
  const unknown = named.filter((name) => !(name in scripts))
  return unknown.length === 0 ? undefined : `package.json has no script ${unknown.join(", ")}`
}

const [flag, skippedFile = "", reason = "no reason given"] = process.argv.slice(2)
const skipped: Array<Counts.Noted> = []
let passed = 0
const failed: Array<Counts.Noted> = []
const report = (name: string, problem: string | undefined, note = "") => {
  if (problem === undefined) passed++
  else failed.push({ test: name, reason: problem.split("\n", 1).join("") })
  console.log(problem === undefined ? `ok      ${name}${note}` : `FAILED  ${name}: ${problem}`)
}

const pages = [...readPages()]
const blocks = pages.flatMap(([path, text]) => shownBlocks(path, text))
if (blocks.length === 0) report("pages", "they show no program that can be run (```ts with // file: on the first line)")
for (const [name, problem] of blocks) report(name, problem)
for (const [path, text] of pages) report(`${path} names scripts that exist`, unknownScripts(text))

const files = programs()
const wanted = flag === "--steps" ? steps() : files
if (files.length === 0) report("examples", "there are none")
report("the examples are twelve steps and topics, and short", problems().join("; ") || undefined)
report("docs/examples.md names every example", unlisted(readFileSync("docs/examples.md", "utf8"), files))
for (const file of wanted) {
  if (flag === "--skip" && file === skippedFile) {
    skipped.push({ test: file, reason })
    console.log(`skipped ${file}: ${reason}`)
    continue
  }
  const started = performance.now()
  const problem = await runProgram(file)
  report(file, problem, ` (${((performance.now() - started) / 1000).toFixed(1)} s)`)
}

Counts.write({ passed, failed, skipped })
process.exitCode = failed.length > 0 ? 1 : 0
