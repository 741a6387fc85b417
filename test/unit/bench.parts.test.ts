import { describe, expect, it } from "@effect/vitest"
import { bytesOf, microsOf, partOf } from "../../bench/parts.js"

const frame = (functionName: string, url: string) => ({
  functionName,
  url,
  scriptId: "1",
  lineNumber: 0,
  columnNumber: 0
})

const modules = "file:///somewhere/node_modules"

describe("the part of a program that a frame belongs to", () => {
  it.each([
    ["driver", "command", `${modules}/mongodb/lib/cmap/connection.js`],
    ["BSON", "serialize", `${modules}/bson/lib/bson.cjs`],
    ["Effect", "runLoop", `${modules}/effect/dist/esm/internal/fiberRuntime.js`],
    ["Effect", "decode", `${modules}/@effect/schema/dist/esm/Schema.js`],
    ["library", "perform", "file:///somewhere/dist/internal/library.js"],
    ["Node.js", "emit", "node:events"],
    ["sockets", "writeBuffer", ""],
    ["garbage", "(garbage collector)", ""],
    ["other", "runMicrotasks", ""],
    ["other", "run", `${modules}/another/dist/index.js`]
  ])("is %s: %s", (part, name, url) => {
    expect(partOf(frame(name, url))).toBe(part)
  })
})

describe("a profile", () => {
  const command = { id: 1, callFrame: frame("command", `${modules}/mongodb/lib/a.js`) }
  const idle = { id: 2, callFrame: frame("(idle)", "") }

  it("is the time of each part for one operation, without what was waited", () => {
    const profile = { nodes: [command, idle], startTime: 0, endTime: 1, samples: [1, 2, 1], timeDeltas: [10, 500, 30] }
    const none = { BSON: 0, "Node.js": 0, sockets: 0, garbage: 0, Effect: 0, library: 0, other: 0 }
    expect(microsOf(profile, 4)).toEqual({ ...none, driver: 10 })
  })

  it("is the bytes of each part for one operation, of all that calls what", () => {
    const own = { id: 3, callFrame: frame("perform", "file:///a/dist/internal/library.js"), selfSize: 8, children: [] }
    const head = { callFrame: command.callFrame, selfSize: 4, children: [own, { ...own, selfSize: 16 }] }
    expect(bytesOf({ head }, 2)).toMatchObject({ driver: 2, library: 12 })
  })
})
