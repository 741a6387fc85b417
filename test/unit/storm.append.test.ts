/**
 * The checker of a storm's lists finds each anomaly, and none where there is none.
 */
import { describe, expect, it } from "vitest"
import * as Append from "../fire/checker/append.js"

const append = (key: string, value: number): Append.Operation => ({ kind: "append", key, value })
const read = (key: string, ...list: ReadonlyArray<number>): Append.Operation => ({ kind: "read", key, list })

let time = 0
// One after the other, unless a test says otherwise.
const of = (
  id: string,
  operations: ReadonlyArray<Append.Operation>,
  outcome: Append.Transaction["outcome"] = "committed"
): Append.Transaction => ({ id, operations, outcome, start: time++, end: time++ })

/** At once, so that real time says nothing. */
const atOnce = (...all: ReadonlyArray<Append.Transaction>) => all.map((one) => ({ ...one, start: 0, end: 1e9 }))

const check = (history: ReadonlyArray<Append.Transaction>, final: Record<string, ReadonlyArray<number>>) =>
  Append.check(history, new Map(Object.entries(final)))

const anomalies = (...of: Parameters<typeof check>) => check(...of).violations.map(({ anomaly }) => anomaly)

describe("a history without anomalies", () => {
  it("has none, and its unknown outcomes are told apart", () => {
    const history = [
      of("a", [append("x", 1), append("y", 1)]),
      of("b", [read("x", 1), append("x", 2), read("x", 1, 2)]),
      of("c", [append("x", 3)], "unknown"),
      of("d", [append("x", 4)], "unknown"),
      of("e", [append("y", 5)], "aborted"),
      of("f", [read("x", 1, 2, 3), read("y", 1), read("z")])
    ]
    expect(check(history, { x: [1, 2, 3], y: [1] })).toEqual({
      violations: [],
      writeSkews: 0,
      unknown: { committed: 1, aborted: 1 }
    })
  })

  it("may have write skew, which is counted", () => {
    const history = atOnce(
      of("a", [read("x"), append("y", 1)]),
      of("b", [read("y"), append("x", 1)])
    )
    expect(check(history, { x: [1], y: [1] })).toMatchObject({ violations: [], writeSkews: 1 })
  })
})

describe("what one list tells", () => {
  it("an append that is there twice", () => {
    expect(anomalies([of("a", [append("x", 1)])], { x: [1, 1] })).toContain("appended twice")
  })
  it("an append of nobody", () => {
    expect(anomalies([], { x: [1] })).toEqual(["from nowhere"])
  })
  it("an append that was told and is not there", () => {
    expect(anomalies([of("a", [append("x", 1)])], { x: [] })).toEqual(["lost"])
  })
  it("an append that is there although its abort was told", () => {
    expect(anomalies([of("a", [append("x", 1)], "aborted")], { x: [1] })).toEqual(["told aborted, and there"])
  })
  it("half of a transaction", () => {
    expect(anomalies([of("a", [append("x", 1), append("y", 1)], "unknown")], { x: [1] })).toEqual(["torn apart"])
  })
})

describe("what one transaction has seen", () => {
  it("internal: not its own append", () => {
    expect(anomalies([of("a", [append("x", 1), read("x")])], { x: [1] })).toContain("internal")
  })
  it("internal: two things in one snapshot", () => {
    const history = atOnce(of("a", [append("x", 1)]), of("b", [read("x"), read("x", 1)]))
    expect(anomalies(history, { x: [1] })).toContain("internal")
  })
  it("an order that no other has seen", () => {
    const history = [of("a", [append("x", 1)]), of("b", [append("x", 2)]), of("c", [read("x", 2, 1)])]
    expect(anomalies(history, { x: [1, 2] })).toContain("incompatible order")
  })
  it("G1a: what was aborted", () => {
    const history = [of("a", [append("x", 1)], "aborted"), of("b", [read("x", 1)])]
    expect(anomalies(history, { x: [] })).toEqual(["incompatible order", "G1a"])
  })
  it("G1b: what another was not done with", () => {
    const history = atOnce(of("a", [append("x", 1), append("x", 2)]), of("b", [read("x", 1)]))
    expect(anomalies(history, { x: [1, 2] })).toContain("G1b")
  })
})

describe("what transactions have seen of each other", () => {
  it("G0: writes in two orders", () => {
    const history = atOnce(
      of("a", [append("x", 1), append("y", 1)]),
      of("b", [append("x", 2), append("y", 2)])
    )
    expect(anomalies(history, { x: [1, 2], y: [2, 1] })).toEqual(["G0"])
  })
  it("G1c: each has seen what the other wrote", () => {
    const history = atOnce(
      of("a", [append("x", 1), read("y", 1)]),
      of("b", [append("y", 1), read("x", 1)])
    )
    expect(check(history, { x: [1], y: [1] }).violations).toEqual([{ anomaly: "G1c", detail: "a -wr-> b -wr-> a" }])
  })
  it("G-single: a lost update", () => {
    const history = atOnce(
      of("a", [read("x"), append("x", 1)]),
      of("b", [read("x"), append("x", 2)])
    )
    expect(anomalies(history, { x: [1, 2] })).toEqual(["G-single"])
  })
  it("G-single: half of what another wrote", () => {
    const history = atOnce(
      of("a", [append("x", 1), append("y", 1)]),
      of("b", [read("x", 1), read("y")])
    )
    expect(anomalies(history, { x: [1], y: [1] })).toEqual(["G-single"])
  })
  it("G-nonadjacent: two who saw two others' writes in two orders", () => {
    const history = atOnce(
      of("a", [append("x", 1)]),
      of("b", [append("y", 1)]),
      of("c", [read("x", 1), read("y")]),
      of("d", [read("x"), read("y", 1)])
    )
    expect(anomalies(history, { x: [1], y: [1] })).toEqual(["G-nonadjacent"])
  })
  it("G-single by real time: not what had ended before it began", () => {
    const history = [of("a", [append("x", 1)]), of("b", [read("x"), append("y", 1)])]
    expect(anomalies(history, { x: [1], y: [1] })).toEqual(["G-single, by real time"])
  })
  it("G0 by real time: before what had ended before it began", () => {
    const history = [of("a", [append("x", 1)]), of("b", [append("x", 2)])]
    expect(anomalies(history, { x: [2, 1] })).toEqual(["G0, by real time"])
  })
  it("nothing by real time of those that only read, which a member may serve late that was primary before", () => {
    const history = [of("a", [append("x", 1)]), of("b", [read("x")])]
    expect(anomalies(history, { x: [1] })).toEqual([])
  })
})

it("a long history is checked in no time", () => {
  const history = Array.from(
    { length: 50_000 },
    (_, n) => of(`t${n}`, [append(`k${n >> 6}`, n), read(`k${(n >> 6) + 1}`)])
  )
  const final: Record<string, Array<number>> = {}
  for (const { operations: [one] } of history) {
    if (one?.kind === "append") (final[one.key] ??= []).push(one.value)
  }
  const before = performance.now()
  expect(anomalies(history, final)).toEqual([])
  expect(performance.now() - before).toBeLessThan(10_000)
})
