/**
 * What a caller sees of an outage of the set, after what time, and what is on the server then. With `OUTAGES=write` all of it
 * is measured, and the table in `docs/outages.md` written anew.
 */
import { describe, expect, it, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { readFileSync, writeFileSync } from "node:fs"
import { inspect } from "node:util"
import { MongoError } from "../../../src/MongoError.js"
import { CommitUnknown, TransactionAborted } from "../../../src/SessionErrors.js"
import { measure, type Met, type Moment, moments, type Outage, outages } from "../../support/server/outages.js"
import * as TestServer from "../../support/server/testServer.js"

const isWritten = process.env["OUTAGES"] === "write"
const page = new URL("../../../docs/outages.md", import.meta.url)

/** Those that take a few seconds only; all of them take some minutes. */
const quick: ReadonlyArray<Outage> = [outages.killed, outages.steppedDown]
const all = Object.values<Outage>(outages)

const sees = ({ exit, runs }: Met): string => {
  const times = runs > 1 ? `, at run ${runs}` : ""
  if (Exit.isSuccess(exit)) return `success${times}`
  const error = Cause.squash(exit.cause)
  return `\`${
    error instanceof MongoError ? `MongoError\` (\`${error.reason}\`)` : `${(error as Error).name}\``
  }${times}`
}

const onServer = ({ documents, open }: Met, moment: Moment): string => {
  const whole = moment === "operation" ? 1 : 2
  const what = documents.length === 0 ? "nothing" : documents.length === whole ? "all of it, once" : documents.join()
  return open === 0 ? what : `${what}; ${open} transactions open`
}

/** What holds in every outage, whatever it is. */
const judge = (met: Met, moment: Moment) => {
  const { after, documents, exit, open } = met
  if (Exit.isFailure(exit)) {
    expect(Array.from(Cause.defects(exit.cause), (defect) => inspect(defect, { depth: 1 })), "defects").toEqual([])
    const error = Cause.squash(exit.cause)
    const isKnown = error instanceof MongoError || error instanceof TransactionAborted || error instanceof CommitUnknown
    expect(isKnown, String(error)).toBe(true)
    if (error instanceof TransactionAborted) expect(documents).toEqual([])
  } else expect(documents).toEqual(moment === "operation" ? [1] : [1, 2])
  // All of it or nothing, and nothing twice.
  expect([[], moment === "operation" ? [1] : [1, 2]]).toContainEqual(documents)
  expect(open, "open transactions").toBe(0)
  expect(Duration.toMillis(after)).toBeLessThan(90_000)
}

const keys = Object.keys(moments) as ReadonlyArray<Moment>
const measured: Array<string> = []
const rowOf = (outage: Outage, moment: Moment) => `| ${outage.name} | ${moment} |`

// A row for each way in which it ended.
const note = (outage: Outage, moment: Moment, all: ReadonlyArray<Met>): void => {
  const ways = new Map<string, Array<number>>()
  for (const met of all) {
    const way = `${sees(met)} | ${onServer(met, moment)}`
    ways.set(way, [...ways.get(way) ?? [], Duration.toMillis(met.after) / 1000])
  }
  for (const [way, times] of ways) {
    const [seen, server] = way.split(" | ")
    const often = ways.size > 1 ? `, ${times.length} times of ${all.length}` : ""
    const [least, most] = [Math.min(...times), Math.max(...times)].map((time) => time.toFixed(1))
    const after = least === most ? least : `${least} to ${most}`
    measured.push(`${rowOf(outage, moment)} ${seen}${often} | ${after} s | ${server} |`)
  }
}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  for (const outage of isWritten ? all : quick) {
    describe(outage.name, () => {
      for (const moment of keys) {
        it.effect(
          `while ${moments[moment]}: all of it or nothing, a typed failure, and nothing stays open`,
          () =>
            Effect.gen(function*() {
              const times = isWritten && quick.includes(outage) ? 5 : 1
              const met = yield* Effect.replicateEffect(measure(outage, moment), times)
              note(outage, moment, met)
              met.forEach((one) => judge(one, moment))
            }),
          600_000
        )
      }
    })
  }
})

describe("the page on outages", () => {
  const start = "<!-- measured -->\n"
  const end = "<!-- /measured -->"

  it("has a row for each outage and moment", () => {
    const text = readFileSync(page, "utf8")
    const cells = all.flatMap((outage) => keys.map((moment) => rowOf(outage, moment)))
    const rowsIn = (lines: ReadonlyArray<string>, cell: string) => lines.filter((line) => line.startsWith(cell))
    if (isWritten) {
      const former = text.split("\n")
      // What was not measured now stays.
      const rows = cells.flatMap((cell) => rowsIn(rowsIn(measured, cell).length > 0 ? measured : former, cell))
      const table = [
        "| outage | under way | the caller sees | after | on the server |",
        "|---|---|---|---|---|",
        ...rows
      ]
      const before = text.slice(0, text.indexOf(start) + start.length)
      writeFileSync(page, `${before}\n${table.join("\n")}\n\n${text.slice(text.indexOf(end))}`)
    }
    const written = readFileSync(page, "utf8").split("\n")
    expect(cells.filter((cell) => rowsIn(written, cell).length === 0)).toEqual([])
  })
})
