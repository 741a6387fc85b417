import { describe, expect, it } from "@effect/vitest"
import * as Driver from "mongodb"
import { toMongoError } from "../../src/internal/driver/errors.js"
import { InvalidInTransaction, TransactionDoomed } from "../../src/SessionErrors.js"
import { parse } from "../conformance/arguments.js"
import { installed } from "../conformance/driver.js"
import { ensureError } from "../conformance/errors.js"
import { ensureEvents, type Recorder } from "../conformance/events.js"
import type { ExpectedEvents } from "../conformance/format.js"
import type { Names } from "../conformance/matching.js"
import { withUriOptions } from "../conformance/options.js"
import * as Report from "../conformance/report.js"
import { Mismatch } from "../conformance/verdict.js"

const names: Names = { value: () => undefined, lsid: () => undefined }

describe("a failure that is expected", () => {
  const ofServer = toMongoError(
    { operation: "insertOne" },
    new Driver.MongoServerError({
      message: "E11000 duplicate key",
      code: 11_000,
      codeName: "DuplicateKey",
      errorLabels: ["TransientTransactionError"]
    })
  )
  const ofClient = new InvalidInTransaction({ operation: "find", option: "readPreference" })
  const holds = (expected: object, failure: unknown) => () => ensureError(expected, failure, names)

  it("comes from the server only if the server has answered", () => {
    holds({ isClientError: false }, ofServer)()
    holds({ isClientError: false }, new TransactionDoomed({ first: ofServer }))()
    holds({ isClientError: true }, ofClient)()
    holds({ isClientError: true }, toMongoError({ operation: "find" }, new Driver.MongoNetworkError("gone")))()
    expect(holds({ isClientError: true }, ofServer)).toThrow(Mismatch)
    expect(holds({ isClientError: false }, ofClient)).toThrow(Mismatch)
  })

  it("is told by words of its message or of that of its cause, in any case", () => {
    holds({ errorContains: "read preference in a transaction MUST be primary" }, ofClient)()
    holds({ errorContains: "e11000" }, ofServer)()
    expect(holds({ errorContains: "E11001" }, ofServer)).toThrow(Mismatch)
  })

  it("is told by code, name of the code and labels", () => {
    holds(
      { errorCode: 11_000, errorCodeName: "duplicatekey", errorLabelsContain: ["TransientTransactionError"] },
      ofServer
    )()
    expect(holds({ errorCode: 112 }, ofServer)).toThrow(Mismatch)
    expect(holds({ errorCode: 112 }, ofClient)).toThrow(Mismatch)
    expect(holds({ errorCodeName: "WriteConflict" }, ofServer)).toThrow(Mismatch)
    expect(holds({ errorLabelsContain: ["RetryableWriteError"] }, ofServer)).toThrow(Mismatch)
    expect(holds({ errorLabelsOmit: ["TransientTransactionError"] }, ofServer)).toThrow(Mismatch)
    holds({ errorLabelsOmit: ["TransientTransactionError"] }, ofClient)()
  })

  it("is no time-out unless time has run out", () => {
    expect(holds({ isTimeoutError: true }, ofServer)).toThrow(Mismatch)
    holds({ isTimeoutError: false }, ofServer)()
  })
})

describe("events that are expected", () => {
  const recorder = (...commands: ReadonlyArray<object>): Recorder => ({
    events: commands.map((command) => ({
      name: "commandStartedEvent",
      fields: { command, commandName: Object.keys(command)[0], databaseName: "test" }
    })),
    checkedOut: () => 0,
    ready: () => 0,
    begins: () => undefined,
    before: () => 0,
    clear: () => undefined,
    stop: () => undefined
  })
  const holds = (events: ReadonlyArray<object>, seen: Recorder, ignoreExtraEvents = false) => () => {
    const expected = events.map((fields) => ({ commandStartedEvent: fields }))
    const all: ExpectedEvents = { client: "client0", eventType: "command", events: expected, ignoreExtraEvents }
    ensureEvents(all, seen, names)
  }

  it("are all there, in order, and no others unless these are ignored", () => {
    const [find, insert] = [{ commandName: "find" }, { commandName: "insert" }]
    holds([find, insert], recorder({ find: "a" }, { insert: "a" }))()
    holds([find], recorder({ find: "a" }, { insert: "a" }), true)()
    expect(holds([find], recorder({ find: "a" }, { insert: "a" }))).toThrow(Mismatch)
    expect(holds([insert, find], recorder({ find: "a" }, { insert: "a" }))).toThrow(Mismatch)
    expect(holds([find, insert], recorder({ find: "a" }), true)).toThrow(Mismatch)
    expect(holds([], recorder({ find: "a" }))).toThrow(Mismatch)
  })

  it("may end with what cleans up after the last operation, and have none of that before", () => {
    const [find, insert] = [{ commandName: "find" }, { commandName: "insert" }]
    const [kill, end] = [{ killSessions: [] }, { endSessions: [] }]
    holds([find], recorder({ find: "a" }, kill, end))()
    expect(holds([find], { ...recorder({ find: "a" }, kill, end), before: () => 2 })).toThrow(/found 2/)
    expect(holds([find], { ...recorder({ find: "a" }, kill), before: () => 2 })).toThrow(/found 2/)
    expect(holds([find, insert], recorder({ find: "a" }, kill, { insert: "a" }))).toThrow(
      /event 2 .*found "killSessions"/
    )
    expect(holds([find, { commandName: "killSessions" }], recorder({ find: "a" }, kill, end))).toThrow(/found 3/)
    expect(holds([find, { commandName: "killSessions" }], recorder({ find: "a" }))).toThrow(/found no more/)
  })

  it("have commands with extra keys at the root only", () => {
    const command = { commitTransaction: 1, writeConcern: { w: 1 } }
    holds([{ command }], recorder({ ...command, $db: "admin" }))()
    expect(holds([{ command }], recorder({ ...command, writeConcern: { w: 1, wtimeout: 10_000 } }))).toThrow(Mismatch)
    expect(holds([{ command: { lsid: { $$exists: false } } }], recorder({ find: "a", lsid: {} }))).toThrow(Mismatch)
    expect(holds([{ databaseName: "admin" }], recorder({ find: "a" }))).toThrow(Mismatch)
  })
})

describe("a waiver", () => {
  const waiver = { file: "a.json", test: "reads", failure: "expected 1", reason: "so it is", raw: "no time" } as const
  const byDriver = { result: "failed", reason: "there was no time limit" } as const
  const waived = (result: "passed" | "failed" | "skipped", reason = "", test = "reads") =>
    Report.waive({ file: "sessions/a.json", test, result, reason }, [waiver], byDriver)

  it("holds for its own test and failure", () => {
    expect(waived("failed", "result: expected 1, found 2")).toMatchObject({
      result: "waived",
      reason: "so it is; the raw driver: there was no time limit"
    })
    expect(waived("failed", "took too long").result).toBe("failed")
    expect(waived("failed", "expected 1", "writes").result).toBe("failed")
    expect(waived("skipped").result).toBe("skipped")
  })

  it("is wrong where the raw driver does something else than it says, or was not run", () => {
    const entry = { file: "sessions/a.json", test: "reads", result: "failed", reason: "expected 1" } as const
    const judged = (raw: string | undefined, outcome?: Parameters<typeof Report.waive>[2]) =>
      Report.waive(entry, [{ ...waiver, raw }], outcome).result
    expect(Report.needsEvidence(entry, [waiver])).toBe(true)
    expect(Report.needsEvidence({ ...entry, result: "passed" }, [waiver])).toBe(false)
    expect(judged("no time", byDriver)).toBe("waived")
    expect(judged("no time", { result: "passed", reason: "" })).toBe("failed")
    expect(judged("passed", byDriver)).toBe("failed")
    expect(judged("passed", { result: "passed", reason: "" })).toBe("waived")
    expect(judged("no time")).toBe("failed")
    expect(judged(undefined)).toBe("waived")
  })

  it("is wrong where the test passes", () => {
    expect(waived("passed").result).toBe("failed")
    expect(waived("passed", "", "writes").result).toBe("passed")
  })

  it("is counted by itself", () => {
    const report = Report.make([waived("failed", "expected 1"), waived("passed"), waived("skipped")])
    expect(report).toMatchObject({ passed: 0, failed: 1, waived: 1, skipped: 1 })
    expect(Report.table(report)).toContain("failed: sessions/a.json > reads")
  })
})

describe("the command line", () => {
  it("is refused with what is wrong with it", () => {
    expect(parse(["--driver", "5"])).toBe("--driver is 6 or 7, not 5")
    expect(parse(["--members", "2"])).toBe("--members is 1 or 3, not 2")
    expect(parse(["--dir", ""])).toBe("--dir needs a value")
    expect(parse(["--verbose"])).toMatch(/--verbose/)
    expect(parse(["folder"])).toMatch(/folder/)
    expect(parse(["--json"])).toBeTypeOf("string")
  })

  it("may say nothing", () => {
    expect(parse([])).toEqual({ dir: undefined, json: undefined, match: undefined, driver: installed, members: 3 })
    expect(parse(["--dir", "a", "--match", "abort", "--driver", "6", "--members", "1"])).toMatchObject({
      match: "abort",
      driver: "6",
      members: 1
    })
  })
})

describe("the connection string of a client", () => {
  it("has the options of the test in the place of its own", () => {
    expect(withUriOptions("mongodb://a:1,b:2", { w: 1 })).toBe("mongodb://a:1,b:2/?w=1")
    expect(withUriOptions("mongodb://a/db?W=2&replicaSet=r", { w: "majority" })).toBe(
      "mongodb://a/db?replicaSet=r&w=majority"
    )
    expect(withUriOptions("mongodb://a", {})).toBe("mongodb://a/")
    expect(withUriOptions("mongodb://a/", { readPreferenceTags: ["dc:east", ""] })).toBe(
      "mongodb://a/?readPreferenceTags=dc%3Aeast&readPreferenceTags="
    )
  })
})
