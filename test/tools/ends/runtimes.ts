// The other runtimes: unit tests and the steps of the ladder on the newest of each supported line of Node.js, and the steps
// on Bun. Their binaries are packages of npm, for Linux on x64; elsewhere they are skipped.
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { bunVersion, fetched, fetchedBun } from "../../new-user/managers.js"
import * as Counts from "../counts.js"
import * as Group from "../group.js"
import { type End, failed, root, skipped } from "./end.js"

interface Runtime {
  readonly name: string
  readonly version: string
  readonly stages: Readonly<Record<string, ReadonlyArray<string>>>
  /** The binary, or why there is none. */
  readonly binary: () => Promise<string | { readonly missing: string }>
}

const steps = ["test:examples", "--", "--steps"]

const node = (version: string): Runtime => ({
  name: `node-${version.split(".", 1).join("")}`,
  version,
  stages: { unit: ["test:unit"], examples: steps },
  binary: async () => {
    const folder = await fetched(`node-${process.platform}-${process.arch}`, version)
    return typeof folder === "string" ? join(folder, "bin/node") : folder
  }
})

const all: ReadonlyArray<Runtime> = [
  node("20.19.0"),
  node("22.23.3"),
  node("24.21.0"),
  {
    name: "bun-runtime",
    version: bunVersion,
    stages: { examples: steps },
    binary: async () => {
      const folder = await fetchedBun()
      return typeof folder === "string" ? join(folder, "bin/bun") : folder
    }
  }
]

const run = async (
  { binary, name, stages, version }: Runtime,
  wanted: ReadonlyArray<string>
): Promise<Counts.Counts> => {
  const found = await binary()
  if (typeof found !== "string") return skipped(name, found.missing)
  const folder = mkdtempSync(join(tmpdir(), `effect-mongo-session-${name}-`))
  try {
    const results: Array<Counts.Counts> = []
    for (const stage of wanted) {
      const file = join(folder, `${stage}.json`)
      const problem = await Group.execute("npm", ["run", "--silent", ...stages[stage] ?? []], {
        cwd: root,
        env: {
          [Counts.variable]: file,
          PATH: [dirname(found), process.env["PATH"]].join(delimiter),
          EXAMPLES_RUNTIME: found
        }
      })
      const counts = existsSync(file) ? Counts.read(file) : undefined
      const isFine = problem === undefined || (counts?.failed.length ?? 0) > 0
      results.push(
        counts !== undefined && isFine ? counts : failed(`${name} ${version} ${stage}`, problem ?? "no result")
      )
    }
    return {
      passed: results.reduce((sum, { passed }) => sum + passed, 0),
      failed: results.flatMap(({ failed }) => failed),
      skipped: results.flatMap(({ skipped }) => skipped)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export const runtimes: ReadonlyArray<End> = all.map((runtime) => ({
  name: runtime.name,
  versions: { [runtime.name]: runtime.version },
  stages: Object.keys(runtime.stages),
  run: (wanted) => run(runtime, wanted)
}))
