import { describe, expect, it } from "@effect/vitest"
import { parse } from "../../bench/arguments.js"
import { rows } from "../../bench/rows.js"

const chosen = (...args: ReadonlyArray<string>) => {
  const parsed = parse(args)
  return typeof parsed === "string" ? parsed : parsed.rows.map(({ name }) => name)
}

describe("the benchmark's command line", () => {
  it("is refused, with what is wrong, where it makes no sense", () => {
    expect(parse(["--jsno", "f"])).toContain("--jsno")
    expect(parse(["extra"])).toContain("extra")
    expect(parse(["--json"])).toContain("--json")
    expect(parse(["--json", ""])).toBe("--json needs the name of a file")
    expect(parse(["--json", "no/such/folder/f.json"])).toMatch(/^there is no folder .*no\/such\/folder$/)
    expect(parse(["--only", ""])).toBe("--only needs a number or a part of a name")
    expect(parse(["--quick=1"])).toContain("--quick")
  })

  it("that names no row is refused with the list of all", () => {
    const refused = parse(["--only", "99"])
    expect(refused).toContain("no row is \"99\"")
    expect(rows.filter(({ name }) => !String(refused).includes(name))).toEqual([])
  })

  it("means all rows unless it says otherwise", () => {
    expect(chosen()).toEqual(rows.map(({ name }) => name))
    expect(parse(["--json", "f.json", "--quick"])).toMatchObject({ json: "f.json", quick: true })
  })

  it("means a row by its number, and those that have a text in their names, in any case", () => {
    expect(chosen("--only", "1")).toEqual(["findOne in session c=1"])
    expect(chosen("--only", "COLD")).toEqual(["cold import"])
    expect(chosen("--only", "bank")).toEqual(["contended bank, 16 fibers, 10 accounts, mongod"])
    expect(chosen("--only", "mongod")).toHaveLength(4)
    expect(chosen("--only", "findone").length).toBeGreaterThan(1)
  })
})
