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
  /** How many members the replica set has. */
  readonly members: 1 | 3
}

export const usage =
  "npm run conformance -- [--dir <folder>] [--json <file>] [--match <text>] [--driver 6|7] [--members 1|3]"

/** Reads the command line; gives what is wrong with it as a text. */
export const parse = (args: ReadonlyArray<string>): Arguments | string => {
  try {
    const option = { type: "string" } as const
    const { values } = parseArgs({
      args: [...args],
      options: { dir: option, json: option, match: option, driver: option, members: option }
    })
    const driver = versions.find((version) => version === (values.driver ?? installed))
    if (driver === undefined) return `--driver is ${versions.join(" or ")}, not ${values.driver}`
    const members = ([1, 3] as const).find((count) => String(count) === (values.members ?? "3"))
    if (members === undefined) return `--members is 1 or 3, not ${values.members}`
    const empty = Object.entries(values).find(([, value]) => value === "")
    if (empty !== undefined) return `--${empty[0]} needs a value`
    return { dir: values.dir, json: values.json, match: values.match, driver, members }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
