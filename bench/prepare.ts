/**
 * What must be there before anything is measured: the library as it is built, and the packages of the benchmark.
 */
import { existsSync } from "node:fs"
import { execute, root } from "./processes.js"

const folder = `${root}bench/`

/** The folder of the package that has effect-mongodb, and the driver that it runs on. */
export const competitor = `${folder}effectMongodb/`

export const prepare = async (): Promise<void> => {
  console.error("building the library")
  await execute("npm", ["run", "--silent", "build"], root)
  if (
    ["vega", "effect-mongo-session-bench-effect-mongodb"].every((name) => existsSync(`${folder}node_modules/${name}`))
  ) {
    return
  }
  console.error("installing the packages of the benchmark")
  await execute("npm", ["ci", "--no-audit", "--no-fund"], folder)
}
