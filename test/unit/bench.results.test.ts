import { describe, expect, it } from "@effect/vitest"
import { resultsOf } from "../../bench/results.js"
import { fewest, measure } from "../../bench/rounds.js"
import type { Row } from "../../bench/rows.js"
import { table } from "../../bench/table.js"

const row: Row = {
  number: 3,
  name: "something",
  group: "findOne",
  ours: "ours",
  effectMongodb: "theirs",
  metrics: [
    { name: "operations/s", figure: "rate", better: "more", goal: { of: "ratio", bound: 0.9 } },
    { name: "CPU ms", figure: "cpu", unit: 1000, better: "less", goal: { of: "difference", bound: 1 } }
  ]
}

const figures = (rate: number, cpu: number) => ({ rate, cpu })

const samples = {
  raw: [figures(100, 1000), figures(10, 3000), figures(50, 2000)],
  control: [figures(100, 1000), figures(11, 3000), figures(50, 2000)],
  ours: [figures(80, 3000), figures(10, 9000), figures(40, 6000)]
}

describe("results", () => {
  it("compare round by round, and say which goals are met", () => {
    const [rate, cpu] = resultsOf(row, samples, undefined)
    expect(rate).toMatchObject({ raw: 50, ours: 40, ratio: 0.8, q25: 0.8, q75: 0.9, control: 1, effectMongodb: null })
    expect(rate?.goal?.isMet).toBe(false)
    expect(cpu).toMatchObject({ raw: 2, ours: 6, ratio: 3 })
    expect(cpu?.goal?.isMet).toBe(false)
    const met = { ...samples, ours: samples.raw }
    expect(resultsOf(row, met, undefined).map(({ goal }) => goal?.isMet)).toEqual([true, true])
  })

  it("compare effect-mongodb with the raw driver of its own process", () => {
    const theirs = { raw: [figures(10, 1)], control: [figures(10, 1)], theirs: [figures(5, 2)] }
    expect(resultsOf(row, samples, theirs)[0]).toMatchObject({
      effectMongodb: 5,
      effectMongodbAgainstRaw: { raw: 10, value: 5, ratio: 0.5 }
    })
  })

  it("compare what nothing but Effect takes, in the unit of the goal", () => {
    const floor = { ...samples, floor: [figures(90, 2000), figures(9, 4500), figures(45, 4000)] }
    const results = resultsOf({ ...row, bare: "floor" }, floor, undefined)
    expect(results.map(({ bare }) => bare)).toMatchObject([{ value: 45, ratio: 0.9 }, { value: 4, ratio: 2 }])
    const [, rate, cpu] = table(results).split("\n")
    expect(rate).toMatch(/ 1\.000 +0\.900 +≥ 0\.9 /)
    expect(cpu).toMatch(/ 1\.000 +4\.00 +ours − raw ≤ 1 /)
    expect(resultsOf(row, floor, undefined).map(({ bare }) => bare)).toEqual([null, null])
  })

  it("are shown with three digits, or whole", () => {
    const large = {
      ...samples,
      raw: samples.raw.map(() => figures(999.7, 1)),
      ours: samples.raw.map(() => figures(0.1, 1))
    }
    expect(table(resultsOf(row, large, undefined)).split("\n")[1]).toMatch(/ 1,000 +0\.100 /)
  })

  it("are a line each in the table", () => {
    const lines = table(resultsOf(row, samples, undefined)).split("\n")
    expect(lines).toHaveLength(3)
    expect(lines[1]).toMatch(/^ 3 something +operations\/s +50\.0 +40\.0 +0\.800 +0\.80–0\.90 +1\.000 +≥ 0\.9 +missed$/)
    expect(lines[2]).toContain("ours − raw ≤ 1")
  })
})

describe("measuring", () => {
  const arm = (name: string, order: Array<string>) => ({
    name,
    run: (times: number) => {
      order.push(name)
      return Promise.resolve({ own: times })
    }
  })

  it("gives every arm one turn in each round, in another order now and then", async () => {
    const order: Array<string> = []
    const arms = ["raw", "control", "ours"].map((name) => arm(name, order))
    const found = await measure(arms, { rounds: 40, warmup: 2, times: 7, seconds: 60 })
    const rounds = Array.from({ length: 42 }, (_, round) => order.slice(3 * round, 3 * round + 3))
    expect(rounds.every((names) => new Set(names).size === 3)).toBe(true)
    expect(new Set(rounds.map((names) => names.join())).size).toBeGreaterThan(1)
    expect(Object.values(found).map((rows) => rows.length)).toEqual([40, 40, 40])
    expect(found["ours"]?.[0]).toMatchObject({ own: 7 })
  })

  it("stops when its time is over, but not before a few rounds", async () => {
    const found = await measure([arm("raw", [])], { rounds: 1000, warmup: 0, times: 1, seconds: 0 })
    expect(found["raw"]).toHaveLength(fewest)
  })
})
