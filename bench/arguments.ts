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
  /** The report to write onto the page, instead of measuring. */
  readonly page: string | undefined
  /** The rows to measure. */
  readonly rows: ReadonlyArray<Row>
  /** Whether to measure so little that only the benchmark itself is tried out. */
  readonly quick: boolean
}

export const usage = "npm run bench -- [--json <file>] [--only <number or part of a name>] [--quick] | --page <file>"

/** Reads the command line; gives what is wrong with it as a text. */
export const parse = (args: ReadonlyArray<string>): Arguments | string => {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { json: text, only: text, quick: { type: "boolean" }, page: text }
    })
    const { json, only, quick = false, page } = values
    if (page !== undefined) {
      if (Object.keys(values).length > 1) return "--page measures nothing, so it takes no other option"
      return page === "" ? "--page needs the name of a file" : { json, page, rows: [], quick }
    }
    if (json === "") return "--json needs the name of a file"
    if (json !== undefined && !existsSync(dirname(resolve(json)))) return `there is no folder ${dirname(resolve(json))}`
    if (only === "") return "--only needs a number or a part of a name"
    const chosen = only === undefined ? rows : rows.filter((row) => isMeant(row, only))
    return chosen.length === 0 ? `no row is "${only}"; there are:\n${list}` : { json, page, rows: chosen, quick }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const text = { type: "string" } as const

const isMeant = ({ name, number }: Row, only: string): boolean =>
  /^\d+$/.test(only) ? number === Number(only) : name.toLowerCase().includes(only.toLowerCase())

const list = rows.map(({ name, number }) => `${String(number).padStart(4)}  ${name}`).join("\n")
