/**
 * Describes the machine and the versions of a measurement.
 */
import { readFileSync } from "node:fs"
import { cpus, loadavg, totalmem } from "node:os"
import { competitor } from "./prepare.js"
import { root } from "./processes.js"

export interface Environment {
  readonly date: string
  readonly node: string
  readonly system: string
  readonly processor: string
  readonly processors: number
  readonly memoryGiB: number
  /** Programs that wanted a processor in the minute before: what else ran. */
  readonly loadBefore: number
  readonly versions: Readonly<Record<string, string>>
  /** The mongod, if a row needed one and it started. */
  readonly mongod: string | null
}

export const environment = (mongod: string | undefined, loadBefore: number): Environment => ({
  date: new Date().toISOString(),
  node: process.version,
  system: `${process.platform} ${process.arch}`,
  processor: cpus()[0]?.model.trim() ?? "unknown",
  processors: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  loadBefore,
  versions: {
    "effect-mongo-session": versionIn(root),
    "effect": versionIn(`${root}node_modules/effect/`),
    "mongodb": versionIn(`${root}node_modules/mongodb/`),
    "effect-mongodb": versionIn(`${competitor}node_modules/effect-mongodb/`),
    "effect-mongodb's mongodb": versionIn(`${competitor}node_modules/mongodb/`)
  },
  mongod: mongod ?? null
})

export const load = (): number => loadavg()[0] ?? 0

const versionIn = (folder: string): string => JSON.parse(readFileSync(`${folder}package.json`, "utf8")).version
