// The versions of MongoDB's server: conformance, examples and the heart of integration on each, with the developers'
// versions of driver and Effect.
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Counts from "../counts.js"
import * as Group from "../group.js"
import { heart } from "../heart.js"
import { install, type Mongod, mongods } from "../mongods/mongods.js"
import { Unavailable } from "../mongods/store.js"
import { cache, type End, failed, root, skipped } from "./end.js"

// Where servers differ, besides.
const different = [
  "ChangeStream.events",
  "ChangeStream.consume",
  "Collection.test",
  "Cursor.test",
  "Session.acquire",
  "SessionKeeper",
  "Transaction.commit.test",
  "Transaction.interruption",
  "Transaction.sandbox"
]

const stages: Readonly<Record<string, ReadonlyArray<string>>> = {
  conformance: ["conformance"],
  examples: ["test:examples"],
  heart: ["test:integration", "--", ...heart, ...different]
}

// Each test has a limit of its own; this ends a runner that hangs.
const timeLimit = 30 * 60_000

// The demo shows that the processes of its servers are gone, and Wine gives them numbers of its own.
const inWine = ["--", "--skip", "examples/demo/main.ts", "in Wine processes have other numbers"]

const commandOf = ({ needs }: Mongod, stage: string): ReadonlyArray<string> => [
  ...stages[stage] ?? [],
  ...(stage === "examples" && needs === "wine" ? inWine : [])
]

const nameOf = ({ version }: Mongod) => `mongod-${version.split(".").slice(0, 2).join(".")}`

const run = async (mongod: Mongod, wanted: ReadonlyArray<string>): Promise<Counts.Counts> => {
  const name = nameOf(mongod)
  try {
    const binary = await install(mongod, cache)
    const results: Array<Counts.Counts> = []
    for (const stage of wanted) {
      if (!Group.isStopped()) results.push(await runStage(name, stage, commandOf(mongod, stage), binary))
    }
    return {
      passed: results.reduce((sum, { passed }) => sum + passed, 0),
      failed: results.flatMap(({ failed }) => failed),
      skipped: results.flatMap(({ skipped }) => skipped)
    }
  } catch (error) {
    if (error instanceof Unavailable) {
      return skipped(name, `MongoDB ${mongod.version} is not available: ${error.message}`)
    }
    throw error
  }
}

const runStage = async (
  name: string,
  stage: string,
  command: ReadonlyArray<string>,
  binary: string
): Promise<Counts.Counts> => {
  console.log(`\n── ${name} ${stage}`)
  const started = performance.now()
  const folder = mkdtempSync(join(tmpdir(), `effect-mongo-session-${name}-`))
  try {
    const file = join(folder, "counts.json")
    const problem = await Group.execute("npm", ["run", "--silent", ...command], {
      cwd: root,
      timeLimit,
      env: { [Counts.variable]: file, MONGO_SERVER: "mongod", MONGOMS_SYSTEM_BINARY: binary }
    })
    const counts = existsSync(file) ? Counts.read(file) : failed(`${name} ${stage}`, "it ended without a result")
    const isFine = problem === undefined || counts.failed.length > 0
    const result = isFine ? counts : failed(`${name} ${stage}`, problem)
    const { passed, failed: failures, skipped } = result
    const numbers = `${passed} passed, ${failures.length} failed, ${skipped.length} skipped`
    console.log(`── ${name} ${stage}: ${numbers}, ${((performance.now() - started) / 1000).toFixed(0)} s`)
    return result
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export const servers: ReadonlyArray<End> = mongods.map((mongod) => ({
  name: nameOf(mongod),
  versions: { MongoDB: mongod.version },
  stages: Object.keys(stages),
  run: (wanted) => run(mongod, wanted)
}))
