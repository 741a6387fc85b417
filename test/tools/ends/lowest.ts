// The lowest supported versions of driver and Effect: types, unit, integration and conformance with each, in a copy of the
// sources in a folder of its own, with what its lockfile names.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join, resolve } from "node:path"
import { specifications } from "../../conformance/folder.js"
import * as Counts from "../counts.js"
import * as Group from "../group.js"
import { cache, type End, failed, root } from "./end.js"

interface Manifest {
  readonly name: string
  readonly scripts: Readonly<Record<string, string>>
  readonly overrides: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
}

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

interface Lowest extends Pick<End, "name" | "versions"> {}

const ends: ReadonlyArray<Lowest> = [
  { name: "lowest-driver", versions: driver },
  { name: "lowest-effect", versions: effect },
  { name: "lowest", versions: { ...driver, ...effect } }
]

const stages = ["types", "unit", "integration", "conformance"]

// What the tests need; the tools that look at the sources have looked at them.
const needed = [
  "@effect/language-service",
  "@effect/opentelemetry",
  "@effect/schema",
  "@effect/vitest",
  "@opentelemetry/sdk-metrics",
  "@opentelemetry/sdk-trace-base",
  "@types/d3-array",
  "@types/node",
  "d3-array",
  "effect",
  "mongodb",
  "mongodb-memory-server-core",
  "selfsigned",
  "tsx",
  "typescript",
  "vitest"
]

const lockOf = ({ name }: Lowest) => join(root, "test/matrix", name, "package-lock.json")

const npm = async (folder: string, args: ReadonlyArray<string>, env: NodeJS.ProcessEnv = {}): Promise<boolean> =>
  await Group.execute("npm", args, { cwd: folder, env }) === undefined

/** Runs a job in a folder of its own that has the manifest of the end. */
const inFolder = async <A>({ name, versions }: Lowest, job: (folder: string) => Promise<A>): Promise<A> => {
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
const lock = (end: Lowest): Promise<boolean> =>
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

const run = (end: Lowest, wanted: ReadonlyArray<string>): Promise<Counts.Counts> =>
  inFolder(end, async (folder) => {
    cpSync(lockOf(end), join(folder, "package-lock.json"))
    for (
      const part of [
        "src",
        "test",
        "examples",
        "bench",
        "docs",
        "tsconfig.json",
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE"
      ]
    ) {
      cpSync(join(root, part), join(folder, part), {
        recursive: true,
        filter: (path) => basename(path) !== "node_modules"
      })
    }
    if (!await npm(folder, ["ci", "--no-audit", "--no-fund"])) return failed(end.name, "it cannot be installed")
    const counts = join(folder, "counts.json")
    const isDone = await npm(folder, ["test", "--silent", "--", ...wanted], {
      [Counts.variable]: counts,
      MONGO_SPEC_DIR: specifications(root),
      // The test server of the project does for all.
      EFFECT_MONGO_SESSION_CACHE: cache
    })
    if (!existsSync(counts)) return failed(end.name, "it ended without a result")
    const result = Counts.read(counts)
    return isDone || result.failed.length > 0 ? result : failed(end.name, "it ended badly")
  })

export const lowestEnds: ReadonlyArray<End> = ends.map((end) => ({
  ...end,
  stages,
  run: (wanted) => run(end, wanted),
  lock: () => lock(end)
}))
