// `npm run test:matrix`: types, unit, integration and conformance at the lowest supported ends. Each end is a copy of the
// sources in a folder of its own, with what its lockfile names. `npm run test:matrix -- lowest types unit` runs only the
// ends and the stages named; `npm run test:matrix -- --lock` makes the lockfiles anew, which a change of the versions below
// or in package.json needs.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join, resolve } from "node:path"
import { specifications } from "../conformance/folder.js"
import * as Counts from "./counts.js"
import * as Group from "./group.js"

interface End {
  readonly name: string
  /** What is not as it is for the developers. */
  readonly versions: Readonly<Record<string, string>>
}

interface Result {
  readonly end: End
  readonly versions: string
  readonly counts: Counts.Counts
  readonly minutes: number
}

interface Manifest {
  readonly name: string
  readonly scripts: Readonly<Record<string, string>>
  readonly overrides: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
}

const root = resolve(import.meta.dirname, "../..")
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest

/** The lowest version in a range such as `^6.13.0 || ^7.0.0`. */
const lowest = (range = "") => /\d+\.\d+\.\d+/.exec(range)?.[0] ?? range

const driver = { mongodb: lowest(manifest.peerDependencies["mongodb"]) }
// The newest of these ask for a newer effect.
const effect = {
  effect: lowest(manifest.peerDependencies["effect"]),
  "@effect/opentelemetry": "0.61.0",
  "@effect/vitest": "0.27.0"
}

const ends: ReadonlyArray<End> = [
  { name: "lowest-driver", versions: driver },
  { name: "lowest-effect", versions: effect },
  { name: "lowest", versions: { ...driver, ...effect } }
]

const stages = ["types", "unit", "integration", "conformance"]

// What the tests need; the tools that look at the sources have looked at them.
const needed = [
  "@effect/opentelemetry",
  "@effect/schema",
  "@effect/vitest",
  "@opentelemetry/sdk-metrics",
  "@opentelemetry/sdk-trace-base",
  "@types/node",
  "effect",
  "mongodb",
  "mongodb-memory-server-core",
  "tsx",
  "typescript",
  "vitest"
]

const lockOf = ({ name }: End) => join(root, "test/matrix", name, "package-lock.json")

const npm = async (folder: string, args: ReadonlyArray<string>, env: NodeJS.ProcessEnv = {}): Promise<boolean> =>
  await Group.execute("npm", args, { cwd: folder, env }) === undefined

/** Runs a job in a folder of its own that has the manifest of the end. */
const inFolder = async <A>({ name, versions }: End, job: (folder: string) => Promise<A>): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), `effect-mongo-session-${name}-`))
  try {
    cpSync(join(root, ".npmrc"), join(folder, ".npmrc"))
    const dependencies = Object.fromEntries(needed.map((dependency) => [
      dependency,
      versions[dependency] ?? manifest.devDependencies[dependency] ?? lowest(manifest.dependencies[dependency])
    ]))
    const { name: own, overrides, scripts } = manifest
    writeFileSync(
      join(folder, "package.json"),
      JSON.stringify({ name: own, private: true, type: "module", scripts, overrides, dependencies })
    )
    return await job(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Beginning with the lockfile of the project, so that all else is of the versions that the developers have. */
const lock = (end: End): Promise<boolean> =>
  inFolder(end, async (folder) => {
    const file = join(folder, "package-lock.json")
    cpSync(join(root, "package-lock.json"), file)
    const isDone = await npm(folder, ["install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"])
    if (isDone) {
      mkdirSync(resolve(lockOf(end), ".."), { recursive: true })
      cpSync(file, lockOf(end))
    }
    return isDone
  })

const failed = (test: string, reason: string): Counts.Counts => {
  console.log(`FAILED  ${test}: ${reason}`)
  return { passed: 0, failed: [{ test, reason }], skipped: [] }
}

const run = (end: End): Promise<Counts.Counts> =>
  inFolder(end, async (folder) => {
    cpSync(lockOf(end), join(folder, "package-lock.json"))
    for (const part of ["src", "test", "examples", "bench", "docs", "tsconfig.json"]) {
      cpSync(join(root, part), join(folder, part), {
        recursive: true,
        filter: (path) => basename(path) !== "node_modules"
      })
    }
    if (!await npm(folder, ["ci", "--no-audit", "--no-fund"])) return failed(end.name, "it cannot be installed")
    const counts = join(folder, "counts.json")
    const isDone = await npm(folder, ["test", "--silent", "--", ...wantedStages], {
      [Counts.variable]: counts,
      MONGO_SPEC_DIR: specifications(root),
      // The test server of the project does for all.
      EFFECT_MONGO_SESSION_CACHE: process.env["EFFECT_MONGO_SESSION_CACHE"] ??
        join(root, "node_modules/.cache/effect-mongo-session")
    })
    if (!existsSync(counts)) return failed(end.name, "it ended without a result")
    const result = Counts.read(counts)
    return isDone || result.failed.length > 0 ? result : failed(end.name, "it ended badly")
  })

const args = process.argv.slice(2)
const isLock = args[0] === "--lock"
const chosen = isLock ? args.slice(1) : args
const names = ends.map(({ name }) => name)
const unknown = chosen.filter((name) => ![...names, ...stages].includes(name))
if (unknown.length > 0) {
  console.error(`No such end or stage: ${unknown.join(", ")}. There are: ${[...names, ...stages].join(", ")}.`)
  process.exit(2)
}
/** Those that are named, or all where none is. */
const among = (all: ReadonlyArray<string>) => all.some((name) => chosen.includes(name)) ? chosen : all
const wanted = ends.filter(({ name }) => among(names).includes(name))
const wantedStages = stages.filter((name) => among(stages).includes(name))

if (isLock) {
  for (const end of wanted) {
    if (Group.isStopped() || !await lock(end)) process.exitCode = 1
  }
} else {
  const results: Array<Result> = []
  for (const end of wanted) {
    if (Group.isStopped()) break
    const versions = Object.entries(end.versions).map(([name, version]) => `${name} ${version}`).join(", ")
    console.log(`\n══ ${end.name}: ${versions} ${"═".repeat(60)}`.slice(0, 81))
    const started = performance.now()
    const counts = await run(end)
    results.push({ end, versions, counts, minutes: (performance.now() - started) / 60_000 })
  }
  console.log("\n══ all ends")
  for (const { counts, end, minutes, versions } of results) {
    const { failed, passed, skipped } = counts
    const mark = failed.length === 0 && passed > 0 ? "ok    " : "FAILED"
    const numbers = `${passed} passed, ${failed.length} failed, ${skipped.length} skipped`
    console.log(`${mark}  ${end.name.padEnd(14)} ${minutes.toFixed(1).padStart(5)} min  ${numbers}  (${versions})`)
  }
  for (const { counts, end } of results) {
    for (const { reason, test } of counts.failed) console.log(`failed: ${end.name} > ${test} — ${reason}`)
  }
  const sum = (of: (counts: Counts.Counts) => number) => results.reduce((total, { counts }) => total + of(counts), 0)
  const passed = sum((counts) => counts.passed)
  const failures = sum((counts) => counts.failed.length)
  console.log(`\n${passed} passed, ${failures} failed, ${sum(({ skipped }) => skipped.length)} skipped`)
  process.exitCode = failures === 0 && passed > 0 && !Group.isStopped() ? 0 : 1
}
