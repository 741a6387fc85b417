/**
 * What the command line asks for.
 */
import { parseArgs } from "node:util"
import { installed, type Version, versions } from "./driver.js"

export interface Arguments {
  /** The folder of the tests; absent: the usual one, if it is there. */
  readonly dir: string | undefined
  /** The file to write the results to. */
  readonly json: string | undefined
  /** A part of the name of a file or a test: others are not run. */
  readonly match: string | undefined
  readonly driver: Version
}

export const usage = "npm run conformance -- [--dir <folder>] [--json <file>] [--match <text>] [--driver 6|7]"

/** Reads the command line; gives what is wrong with it as a text. */
export const parse = (args: ReadonlyArray<string>): Arguments | string => {
  try {
    const option = { type: "string" } as const
    const { values } = parseArgs({
      args: [...args],
      options: { dir: option, json: option, match: option, driver: option }
    })
    const driver = versions.find((version) => version === (values.driver ?? installed))
    if (driver === undefined) return `--driver is ${versions.join(" or ")}, not ${values.driver}`
    const empty = Object.entries(values).find(([, value]) => value === "")
    if (empty !== undefined) return `--${empty[0]} needs a value`
    return { dir: values.dir, json: values.json, match: values.match, driver }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
