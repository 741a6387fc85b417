// The versions of TypeScript: the packed types, the README's programs and the examples, compiled by each.
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { run as execute } from "../../new-user/commands.js"
import { fetched, npm } from "../../new-user/managers.js"
import { newFolder, packed } from "../../new-user/packed.js"
import { installLines, typed } from "../../new-user/steps.js"
import type * as Counts from "../counts.js"
import { programsOf } from "../pages.js"
import { singles } from "../programs.js"
import { type End, failed, skipped } from "./end.js"

// The newest of each line; 7 is the compiler in Go.
const versions = ["5.4.5", "5.5.4", "5.6.3", "5.7.3", "5.8.3", "5.9.3", "6.0.3", "7.0.2"]

const options = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noEmit: true,
  // What the package declares is checked, too.
  skipLibCheck: false,
  target: "es2022",
  module: "nodenext",
  types: ["node"]
}

/** The lines that are errors, but for Effect's own declarations, which need TypeScript 5.7 where they are checked. */
const errorsOf = (output: string): ReadonlyArray<string> =>
  output.split("\n").filter((line) =>
    /error TS\d+/.test(line) && !/node_modules\/(effect|@effect\/schema)\//.test(line)
  )

const compile = async (version: string): Promise<Counts.Counts> => {
  const name = `typescript ${version}`
  const compiler = await fetched("typescript", version)
  if (typeof compiler !== "string") return skipped(name, compiler.missing)
  await using tarball = await packed()
  await using folder = newFolder("typescript")
  const readme = readFileSync("README.md", "utf8")
  const command = await npm.command()
  if ("missing" in command) return skipped(name, command.missing)
  for (const line of installLines(readme).filter((line) => !/ typescript\b/.test(line))) {
    const { problem } = await execute("sh", ["-c", typed(line, command, tarball.path)], folder.path)
    if (problem !== undefined) return failed(name, problem)
  }
  const node = await execute("npm", ["i", "-D", "@types/node@20", "@effect/vitest@0.30.0"], folder.path)
  if (node.problem !== undefined) return failed(name, node.problem)
  for (const [index, { code }] of programsOf("README.md", readme).entries()) {
    writeFileSync(join(folder.path, `readme-${index}.ts`), code)
  }
  for (const file of singles()) cpSync(file, join(folder.path, file.replaceAll("/", "-")))
  writeFileSync(join(folder.path, "tsconfig.json"), JSON.stringify({ compilerOptions: options, include: ["*.ts"] }))
  const bin = join(
    compiler,
    "bin",
    readdirSync(join(compiler, "bin")).find((file) => /^tsc(\.js)?$/.test(file)) ?? "tsc"
  )
  const { problem, stdout } = await execute(process.execPath, [bin, "-p", "."], folder.path)
  const errors = errorsOf(stdout)
  // A compiler that said nothing of ours has still to have said why it failed.
  const why = errors[0] ?? (problem === undefined || /error TS\d+/.test(stdout) ? undefined : problem)
  if (why !== undefined) return failed(name, why)
  console.log(`ok      ${name}`)
  return { passed: 1, failed: [], skipped: [] }
}

export const compilers: ReadonlyArray<End> = versions.map((version) => ({
  name: `typescript-${version.split(".").slice(0, 2).join(".")}`,
  versions: { typescript: version },
  stages: ["consumer"],
  run: () => compile(version)
}))
