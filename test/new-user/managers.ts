// The package managers that the README's install lines are tried with. Others than npm come from the registry themselves.
import { existsSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import { cache } from "../tools/ends/end.js"
import { run } from "./commands.js"

/** What is typed for `npm i`, and what is put before the `PATH`. */
export interface Command {
  readonly add: string
  readonly path: ReadonlyArray<string>
}

export interface Manager {
  readonly name: string
  /** The version that is fetched. */
  readonly version: string
  readonly command: () => Promise<Command | { readonly missing: string }>
}

/** Installs one package of the registry into the cache, and gives its folder. */
export const fetched = async (name: string, version: string): Promise<string | { readonly missing: string }> => {
  const folder = join(cache, `${name.replace(/\W+/g, "-")}-${version}`)
  const installed = join(folder, "node_modules", name)
  if (!existsSync(join(installed, "package.json"))) {
    mkdirSync(folder, { recursive: true })
    const args = ["install", "--prefix", folder, "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
    const { problem } = await run("npm", [...args, `${name}@${version}`], folder)
    if (problem !== undefined) {
      const why = isOffline(problem) ? "the registry of packages cannot be reached" : problem.split("\n")[1] ?? ""
      return { missing: `${name} ${version} cannot be installed: ${why}` }
    }
  }
  return installed
}

/** Whether a command failed for want of a network. */
export const isOffline = (problem: string): boolean =>
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ConnectionRefused)\b/.test(problem)

export const npm: Manager = {
  name: "npm",
  version: "as installed",
  command: async () => ({ add: "npm i", path: [] })
}

const pnpmVersion = "10.34.8"
export const bunVersion = "1.4.5"

const pnpm: Manager = {
  name: "pnpm",
  version: pnpmVersion,
  command: async () => {
    const folder = await fetched("pnpm", pnpmVersion)
    return typeof folder === "string" ? { add: "pnpm add", path: [join(folder, "../.bin")] } : folder
  }
}

/** Bun of this machine's kind: the package `bun` would fetch the same by a script. */
export const fetchedBun = (): Promise<string | { readonly missing: string }> =>
  fetched(`@oven/bun-${process.platform}-${process.arch === "arm64" ? "aarch64" : process.arch}`, bunVersion)

const bun: Manager = {
  name: "bun",
  version: bunVersion,
  command: async () => {
    const folder = await fetchedBun()
    return typeof folder === "string" ? { add: "bun add", path: [join(folder, "bin")] } : folder
  }
}

export const others: ReadonlyArray<Manager> = [pnpm, bun]

export const all: ReadonlyArray<Manager> = [npm, ...others]
