/**
 * Builds the library and installs the packages of the benchmark before a measurement.
 */
import { existsSync } from "node:fs"
import { execute, root } from "./processes.js"

const folder = `${root}bench/`

/** The folder of the package that has effect-mongodb, and the driver that it runs on. */
export const competitor = `${folder}effectMongodb/`

export const prepare = async (): Promise<void> => {
  console.error("building the library")
  await execute("npm", ["run", "--silent", "build"], root)
  await install()
}

/** Installs the packages of the benchmark, unless they are there. */
export const install = async (): Promise<void> => {
  const needed = [`${folder}node_modules/vega`, `${competitor}node_modules/effect-mongodb`]
  if (needed.every((path) => existsSync(path))) return
  console.error("installing the packages of the benchmark")
  await execute("npm", ["ci", "--no-audit", "--no-fund"], folder)
}
