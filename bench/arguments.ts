/**
 * Parses the command line.
 */
import { existsSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { parseArgs } from "node:util"
import { type Row, rows } from "./rows.js"

export interface Arguments {
  /** The file to write the results to. */
  readonly json: string | undefined
  /** The report to write into the README, instead of measuring. */
  readonly readme: string | undefined
  /** The rows to measure. */
  readonly rows: ReadonlyArray<Row>
  /** Whether to measure so little that only the benchmark itself is tried out. */
  readonly quick: boolean
}

export const usage = "npm run bench -- [--json <file>] [--only <number or part of a name>] [--quick] | --readme <file>"

/** Reads the command line; gives what is wrong with it as a text. */
export const parse = (args: ReadonlyArray<string>): Arguments | string => {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { json: text, only: text, quick: { type: "boolean" }, readme: text }
    })
    const { json, only, quick = false, readme } = values
    if (readme !== undefined) {
      if (Object.keys(values).length > 1) return "--readme measures nothing, so it takes no other option"
      return readme === "" ? "--readme needs the name of a file" : { json, readme, rows: [], quick }
    }
    if (json === "") return "--json needs the name of a file"
    if (json !== undefined && !existsSync(dirname(resolve(json)))) return `there is no folder ${dirname(resolve(json))}`
    if (only === "") return "--only needs a number or a part of a name"
    const chosen = only === undefined ? rows : rows.filter((row) => isMeant(row, only))
    return chosen.length === 0 ? `no row is "${only}"; there are:\n${list}` : { json, readme, rows: chosen, quick }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const text = { type: "string" } as const

const isMeant = ({ name, number }: Row, only: string): boolean =>
  /^\d+$/.test(only) ? number === Number(only) : name.toLowerCase().includes(only.toLowerCase())

const list = rows.map(({ name, number }) => `${String(number).padStart(4)}  ${name}`).join("\n")
