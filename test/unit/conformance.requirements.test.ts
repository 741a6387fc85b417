import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { parse } from "../conformance/format.js"
import { type Deployment, unmet } from "../conformance/requirements.js"
import { compareVersions } from "../conformance/version.js"

const deployment: Deployment = {
  version: "8.2.11",
  topology: "replicaset",
  auth: false,
  parameters: { enableTestCommands: true, authenticationMechanisms: ["SCRAM-SHA-256"], limit: 5 }
}

const meets = (requirement: object, other: Partial<Deployment> = {}): boolean =>
  unmet([requirement], { ...deployment, ...other }) === undefined

describe("versions", () => {
  it("are compared number by number", () => {
    for (const [older, newer] of [["4.1.8", "4.1.10"], ["4.4.99", "5.0"], ["9.0", "10.0"], ["4.2", "4.2.1"]] as const) {
      expect(compareVersions(older, newer)).toBeLessThan(0)
      expect(compareVersions(newer, older)).toBeGreaterThan(0)
    }
    expect(compareVersions("4.2", "4.2.0")).toBe(0)
    expect(compareVersions("4.2.0-rc1", "4.2.0")).toBe(0)
  })

  it("are ordered: none is older and newer than another", () => {
    const version = FastCheck.array(FastCheck.nat(20), { minLength: 1, maxLength: 4 }).map((parts) => parts.join("."))
    FastCheck.assert(FastCheck.property(version, version, (a, b) => {
      expect(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a))).toBe(0)
      expect(compareVersions(a, a)).toBe(0)
    }))
  })
})

describe("a requirement", () => {
  it("of a version holds from the least to the greatest, both included", () => {
    expect(meets({ minServerVersion: "8.2.11", maxServerVersion: "8.2.11" })).toBe(true)
    expect(meets({ minServerVersion: "8.2.12" })).toBe(false)
    expect(meets({ maxServerVersion: "8.2.10" })).toBe(false)
    expect(meets({ maxServerVersion: "4.4.99" })).toBe(false)
  })

  it("of a topology holds for one of those named", () => {
    expect(meets({ topologies: ["sharded", "replicaset"] })).toBe(true)
    expect(meets({ topologies: ["single"] })).toBe(false)
    expect(meets({ topologies: ["sharded-replicaset"] }, { topology: "sharded" })).toBe(true)
    expect(meets({ topologies: ["sharded-replicaset"] })).toBe(false)
    expect(meets({ topologies: ["sharded"] }, { topology: "load-balanced" })).toBe(false)
  })

  it("of access control, of Serverless and of encryption holds where it is as asked", () => {
    expect(meets({ auth: true })).toBe(false)
    expect(meets({ auth: false })).toBe(true)
    expect(meets({ auth: true }, { auth: true })).toBe(true)
    expect(meets({ authMechanism: "scram-sha-256" })).toBe(true)
    expect(meets({ authMechanism: "MONGODB-X509" })).toBe(false)
    expect(meets({ serverless: "require" })).toBe(false)
    expect(meets({ serverless: "forbid" })).toBe(true)
    expect(meets({ csfle: true })).toBe(false)
    expect(meets({ csfle: false })).toBe(true)
  })

  it("of a parameter of the server holds where the server has it with that value, whatever the type of the number", () => {
    expect(meets({ serverParameters: { enableTestCommands: true, limit: 5.0 } })).toBe(true)
    expect(meets({ serverParameters: { enableTestCommands: false } })).toBe(false)
    expect(meets({ serverParameters: { unknown: null } })).toBe(false)
  })

  it("is one of several of which one is enough", () => {
    const wrong = { topologies: ["sharded"] }
    expect(unmet(undefined, deployment)).toBeUndefined()
    expect(unmet([wrong, {}], deployment)).toBeUndefined()
    expect(unmet([wrong, { minServerVersion: "9.0" }], deployment)).toBe(
      "needs the topology sharded; or needs MongoDB 9.0 or later"
    )
  })
})

describe("a file of tests", () => {
  const file = (fields: object) =>
    parse(JSON.stringify({ description: "a", schemaVersion: "1.3", tests: [], ...fields }))

  it("is read up to the version of the format that is known, and no further", () => {
    expect(Either.isRight(file({ schemaVersion: "1.0" }))).toBe(true)
    expect(Either.isRight(file({ schemaVersion: "1.26" }))).toBe(true)
    expect(Either.isRight(file({ schemaVersion: "1.100" }))).toBe(false)
    expect(Either.isRight(file({ schemaVersion: "2.0" }))).toBe(false)
    expect(Either.isRight(file({ schemaVersion: "0.9" }))).toBe(false)
  })

  it("that is none is refused with the reason", () => {
    expect(parse("no JSON")).toEqual(Either.left("it is not JSON"))
    expect(parse("{}")).toEqual(Either.left("it is not in the unified test format"))
    const found = file({ tests: [{ description: "b" }] })
    expect(Either.isLeft(found) && found.left).toContain("operations")
  })

  it("that asserts what is not known is refused, for it could only pass in silence", () => {
    for (const test of [{ expectMetrics: [] }, { operations: [{ name: "find", object: "a", expectSpans: [] }] }]) {
      const found = file({ tests: [{ description: "b", operations: [], ...test }] })
      expect(Either.isLeft(found) && found.left).toMatch(/expectMetrics|expectSpans/)
    }
    expect(Either.isRight(file({ _yamlAnchors: {} }))).toBe(true)
  })

  it("is read as Extended JSON, with defaults for what it leaves out", () => {
    const operation = { name: "insertOne", object: "collection0", arguments: { document: { n: { $numberLong: "7" } } } }
    const found = file({ tests: [{ description: "b", operations: [operation] }] })
    expect(Either.getOrThrow(found)).toMatchObject({
      createEntities: [],
      initialData: [],
      tests: [{ operations: [{ ignoreResultAndError: false, arguments: { document: { n: 7 } } }], outcome: [] }]
    })
  })
})
