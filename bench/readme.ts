/**
 * Writes the figures of a whole run onto docs/performance.md, so that nobody copies them by hand.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { markdown } from "../test/tools/table.js"
import { draw } from "./picture.js"
import { root } from "./processes.js"
import { namesInUnits, type Report, type Result } from "./results.js"
import { amount } from "./table.js"

const file = `${root}docs/performance.md`

const start = "<!-- Figures: `npm run bench -- --page <file>` writes what follows. -->"
const end = "<!-- End of the figures. -->"

/** Reads a report that `--json` wrote; gives what is wrong with it as a text. */
export const read = (path: string): Report | string => {
  try {
    const report: Partial<Report> | null = JSON.parse(readFileSync(path, "utf8"))
    const { environment, isWhole, results } = report ?? {}
    if (environment === undefined || results === undefined) return `${path} is no report of the benchmark`
    if (isWhole !== true) return `${path} is the report of a part, or of a quick run: the page shows whole runs only`
    return { environment, failed: [], isWhole, results }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Writes the figures of the page, and draws the picture beside them. */
export const publish = async (report: Report): Promise<void> => {
  writeFileSync(file, replaced(readFileSync(file, "utf8"), section(report)))
  await draw(report)
}

/** A text with its part between the two marks replaced. */
export const replaced = (text: string, by: string): string => {
  const from = text.indexOf(start)
  const to = text.indexOf(end)
  if (from < 0 || to < from) throw new Error(`docs/performance.md needs the lines ${start} and ${end}`)
  return `${text.slice(0, from)}${start}\n\n${by}\n\n${text.slice(to)}`
}

/** The figures as Markdown. */
export const section = ({ environment, results }: Report): string => {
  const { date, mongod, node, processors, versions } = environment
  const inUnits = namesInUnits(results)
  const ratios = rowsOf(results.filter(({ name }) => !inUnits.has(name)))
  const amounts = rowsOf(results.filter(({ name }) => inUnits.has(name)))
  return [
    `Measured on ${date.slice(0, 10)} with Node.js ${node.slice(1)} on ${processors} processors, which clients and`,
    `servers share. Driver: mongodb ${versions["mongodb"]}. Server of the rows named mongod: ${mongod ?? "none"}.`,
    `effect-mongodb ${versions["effect-mongodb"]} runs on mongodb ${versions["effect-mongodb's mongodb"]}.`,
    "",
    "Ratios to the driver. More is better for rates, and less for CPU time and p99:",
    "",
    ...figures(["", "this library", "bare Effect", "guarded", "effect-mongodb", "driver again"], ratios, withoutUnit, [
      ({ ratio }) => ratio.toFixed(2),
      ({ bare }) => bare?.ratio.toFixed(2),
      ({ guarded }) => guarded?.ratio.toFixed(2),
      ({ effectMongodbAgainstRaw }) => effectMongodbAgainstRaw?.ratio.toFixed(2),
      ({ control }) => control.toFixed(2)
    ]),
    "",
    "Amounts:",
    "",
    ...figures(
      ["", "driver", "this library", "bare Effect", "effect-mongodb (its driver)"],
      amounts,
      ({ metric }) => metric,
      [
        ({ raw }) => amount(raw),
        ({ ours }) => amount(ours),
        ({ bare }) => bare === null ? undefined : amount(bare.value),
        ({ effectMongodbAgainstRaw: theirs }) =>
          theirs === null ? undefined : `${amount(theirs.value)} (${amount(theirs.raw)})`
      ]
    )
  ].join("\n")
}

type Cell = (result: Result) => string | undefined

// A ratio has no unit: "CPU µs/operation" is "CPU".
const withoutUnit = ({ metric }: Result): string => metric.split(" ", 1).join()

// The metrics of a row share a line.
const rowsOf = (results: ReadonlyArray<Result>): ReadonlyArray<ReadonlyArray<Result>> =>
  [...new Set(results.map(({ name }) => name))].map((name) => results.filter((result) => result.name === name))

const figures = (
  heads: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<Result>>,
  metricOf: (result: Result) => string,
  cells: ReadonlyArray<Cell>
): ReadonlyArray<string> =>
  markdown(
    heads,
    rows.map((row) => [
      `${row[0]?.name}: ${row.map(metricOf).join(", ")}`,
      ...cells.map((cell) => row.flatMap((result) => cell(result) ?? []).join("; "))
    ]),
    1
  )
