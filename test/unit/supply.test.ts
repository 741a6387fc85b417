/**
 * What users install is found in the lockfile, and what they could not accept of it is told.
 */
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import * as Supply from "../tools/supply/installed.js"

const good = { version: "1.0.0", license: "MIT", integrity: "sha512-x" }

const lockfile: Supply.Lockfile = {
  packages: {
    "": {
      dependencies: { a: "1" },
      peerDependencies: { b: "1", tests: "1" },
      peerDependenciesMeta: { tests: { optional: true } }
    },
    "node_modules/a": { ...good, dependencies: { c: "2" } },
    "node_modules/a/node_modules/c": { ...good, version: "2.0.0", dependencies: { b: "1" } },
    "node_modules/b": good,
    "node_modules/c": good,
    "node_modules/tests": { ...good, hasInstallScript: true }
  }
}

const names = (of: ReadonlyArray<Supply.Installed>) => of.map(({ name, version }) => `${name} ${version}`)

describe("what users install", () => {
  it("is what the package needs, its peers and what these need, in the version that each finds", () => {
    expect(names(Supply.installed(lockfile))).toEqual(["a 1.0.0", "b 1.0.0", "c 2.0.0"])
  })

  it("of this package is known, and has no problem", () => {
    const all = Supply.installed(JSON.parse(readFileSync("package-lock.json", "utf8")))
    expect(all.map(({ name }) => name)).toEqual(expect.arrayContaining(["@effect/schema", "bson", "effect", "mongodb"]))
    expect(Supply.problems(all)).toEqual([])
  })

  it("is no lockfile's where that lacks a part", () => {
    const packages = { "": { dependencies: { missing: "1" } } }
    expect(() => Supply.installed({ packages })).toThrow("the lockfile has no missing")
  })
})

describe("a problem", () => {
  const problemsOf = (change: Supply.Locked) => Supply.problems([{ ...good, ...change, name: "a" }])

  it("is a licence that is not allowed, or none", () => {
    expect(problemsOf({ license: "SSPL-1.0" })).toEqual(["a@1.0.0 has the licence SSPL-1.0"])
    expect(Supply.problems([{ version: "1.0.0", integrity: "x", name: "a" }])).toHaveLength(1)
  })

  it("is a script that runs at installation, and a package without a hash", () => {
    expect(problemsOf({ hasInstallScript: true })).toEqual(["a@1.0.0 runs a script when it is installed"])
    expect(Supply.problems([{ version: "1.0.0", license: "MIT", name: "a" }])).toEqual([
      "a@1.0.0 has no hash in the lockfile"
    ])
  })

  it("is a package that the bill of materials lacks, or tells too little of", () => {
    const all = Supply.installed(lockfile)
    const entry = (name: string, version: string): Supply.Component => ({
      ...{ "bom-ref": `${name}@${version}`, name, version },
      ...{ purl: `pkg:npm/${name}@${version}`, licenses: ["MIT"], hashes: ["x"] }
    })
    const whole = [entry("a", "1.0.0"), entry("b", "1.0.0"), entry("c", "1.0.0"), entry("c", "2.0.0")]
    expect(Supply.billed(all, whole)).toEqual({ components: [whole[0], whole[1], whole[3]], problems: [] })
    expect(Supply.billed(all, [entry("a", "1.0.0"), { ...entry("b", "1.0.0"), hashes: [] }]).problems).toEqual([
      "the bill of materials has no hashes of b",
      "the bill of materials lacks c@2.0.0"
    ])
  })
})

it("the bill tells what its packages need of each other", () => {
  expect(Supply.among(["a", "b"], [{ ref: "a", dependsOn: ["b", "dev"] }, { ref: "b" }, { ref: "dev" }])).toEqual([
    { ref: "a", dependsOn: ["b"] },
    { ref: "b", dependsOn: [] }
  ])
})
