import { describe, expect, it } from "@effect/vitest"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { parse } from "../../bench/arguments.js"
import { read, replaced, section } from "../../bench/readme.js"
import { type Report, resultsOf } from "../../bench/results.js"
import type { Row } from "../../bench/rows.js"

const folder = mkdtempSync(join(tmpdir(), "bench-readme-"))
afterAll(() => rmSync(folder, { recursive: true }))

const written = (content: string) => {
  const file = join(folder, "report.json")
  writeFileSync(file, content)
  return file
}

const find: Row = {
  number: 1,
  name: "find",
  group: "findOne",
  ours: "ours",
  bare: "bare",
  guarded: "guarded",
  effectMongodb: "untyped",
  metrics: [
    { name: "operations/s", figure: "rate", better: "more" },
    { name: "CPU µs", figure: "cpu", better: "less", goal: { of: "ratio", bound: 1 } }
  ]
}

const open: Row = {
  number: 2,
  name: "open",
  group: "openClose",
  ours: "ours",
  bare: "bare",
  metrics: [{ name: "µs", figure: "time", better: "less", goal: { of: "ours", bound: 20 } }]
}

const figures = (rate: number, cpu: number, time: number) => [{ rate, cpu, time }]

const samples = {
  raw: figures(100, 10, 4),
  control: figures(99, 10, 4),
  bare: figures(95, 11, 45),
  guarded: figures(92, 13, 46),
  ours: figures(90, 12, 27.5)
}

const theirs = { raw: figures(80, 1, 1), control: figures(80, 1, 1), untyped: figures(20, 3, 1) }

const report: Report = {
  environment: {
    date: "2026-11-25T10:00:00.000Z",
    node: "v20.20.2",
    system: "linux x64",
    processor: "some",
    processors: 2,
    memoryGiB: 8,
    loadBefore: 0,
    versions: { "mongodb": "7.9.0", "effect-mongodb": "0.5.0", "effect-mongodb's mongodb": "6.22.0" },
    mongod: "MongoDB 6.0.5"
  },
  results: [...resultsOf(find, samples, theirs), ...resultsOf(open, samples, undefined)],
  failed: [],
  isWhole: true
}

describe("the figures on the page", () => {
  it("are a line for each row: ratios, or amounts where the goal is an amount", () => {
    const lines = section(report).split("\n")
    expect(lines).toContain(
      "| find: operations/s, CPU | 0.90; 1.20 | 0.95; 1.10 | 0.92; 1.30 | 0.25; 3.00 | 0.99; 1.00 |"
    )
    expect(lines).toContain("| open: µs | 4.00 | 27.5 | 45.0 |  |")
    expect(lines.filter((line) => line.startsWith("| open"))).toHaveLength(1)
  })

  it("say when, on what and with which versions", () => {
    for (const part of ["2026-11-25", "Node.js 20.20.2", "2 processors", "mongodb 7.9.0", "MongoDB 6.0.5", "6.22.0"]) {
      expect(section(report)).toContain(part)
    }
  })

  it("take the place of those before, and of nothing else", () => {
    const page = readFileSync(new URL("../../docs/performance.md", import.meta.url), "utf8")
    const once = replaced(page, "figures of one run")
    const twice = replaced(once, "figures of another")
    expect(once).toContain("figures of one run")
    expect(twice).not.toContain("figures of one run")
    expect(replaced(twice, "figures of one run")).toBe(once)
    expect(once.split("\n## ").length).toBe(page.split("\n## ").length)
    expect(() => replaced("no marks", "figures")).toThrow("needs the lines")
  })

  it("come from a whole run only", () => {
    expect(read(written(JSON.stringify(report)))).toEqual(report)
    expect(read(written(JSON.stringify({ ...report, isWhole: false })))).toMatch(/whole runs only$/)
    expect(read(written("{}"))).toMatch(/is no report of the benchmark$/)
    expect(read(written("null"))).toMatch(/is no report of the benchmark$/)
    expect(read(written("{"))).toContain("JSON")
    expect(read(join(folder, "absent.json"))).toContain("ENOENT")
  })

  it("are written by an option that stands alone", () => {
    expect(parse(["--page", "f.json"])).toMatchObject({ page: "f.json", rows: [] })
    expect(parse(["--page", ""])).toBe("--page needs the name of a file")
    expect(parse(["--page", "f.json", "--quick"])).toMatch(/takes no other option$/)
  })
})
