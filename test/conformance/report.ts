/**
 * What came of all tests: with the waivers applied, as a table and as data.
 */
import { aligned } from "../tools/table.js"
import type { Outcome } from "./runner.js"
import type { Waiver } from "./waivers.js"

/** What came of one test of a file. */
export interface Entry {
  readonly file: string
  readonly test: string
  readonly result: Outcome["result"] | "waived"
  readonly reason: string
}

/** What came of all. */
export interface Report {
  readonly passed: number
  readonly failed: number
  readonly waived: number
  readonly skipped: number
  readonly tests: ReadonlyArray<Entry>
}

const waiversOf = (entry: Entry, waivers: ReadonlyArray<Waiver>): ReadonlyArray<Waiver> =>
  waivers.filter(({ file, test }) => test === entry.test && entry.file.split("/").at(-1) === file)

/** Whether it is to be known what the raw driver does with the test. */
export const needsEvidence = (entry: Entry, waivers: ReadonlyArray<Waiver>): boolean =>
  entry.result === "failed" && waiversOf(entry, waivers).some(({ raw }) => raw !== undefined)

/** The result of a test, where a waiver may hold, and what came of it by the raw driver. A waiver that is not needed is wrong. */
export const waive = (entry: Entry, waivers: ReadonlyArray<Waiver>, byDriver?: Outcome): Entry => {
  const own = waiversOf(entry, waivers)
  if (own.length === 0 || entry.result === "skipped") return entry
  if (entry.result === "passed") return { ...entry, result: "failed", reason: "it passes: its waiver is to be removed" }
  const waiver = own.find(({ failure }) => entry.reason.includes(failure))
  if (waiver === undefined) return { ...entry, reason: `${entry.reason} (its waiver is for another failure)` }
  if (waiver.raw === undefined) return { ...entry, result: "waived", reason: waiver.reason }
  const evidence = byDriver?.result === "passed" ? "passed" : byDriver?.reason ?? "not run"
  return evidence.includes(waiver.raw)
    ? { ...entry, result: "waived", reason: `${waiver.reason}; the raw driver: ${evidence}` }
    : { ...entry, reason: `its waiver says of the raw driver "${waiver.raw}"; seen was: ${evidence}` }
}

/** Counts the results. */
export const make = (tests: ReadonlyArray<Entry>): Report => {
  const count = (result: Entry["result"]) => tests.filter((one) => one.result === result).length
  return { passed: count("passed"), failed: count("failed"), waived: count("waived"), skipped: count("skipped"), tests }
}

const results = ["passed", "failed", "waived", "skipped"] as const

/** The counts per file, and after that what failed or was waived, with the reason. */
export const table = (report: Report): string => {
  const files = [...new Set(report.tests.map(({ file }) => file))]
  const numbers = (counts: Report) => results.map((result) => String(counts[result]))
  const notable = report.tests.filter(({ result }) => result === "failed" || result === "waived")
  return [
    ...aligned([
      ["file", ...results],
      ...files.map((file) => [file, ...numbers(make(report.tests.filter((one) => one.file === file)))]),
      ["all", ...numbers(report)]
    ]),
    ...notable.flatMap(({ file, reason, result, test }) => ["", `${result}: ${file} > ${test}`, `  ${reason}`])
  ].join("\n")
}
