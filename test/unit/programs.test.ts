import { describe, expect, it } from "vitest"
import { named } from "../tools/programs.js"

const files = [
  "examples/04-one-at-a-time.ts",
  "examples/12-outbox.ts",
  "examples/topics/data/streaming-export.ts",
  "examples/topics/sessions/misuses.ts",
  "examples/demo/main.ts"
]

describe("An example is found", () => {
  it.each([
    ["04", "examples/04-one-at-a-time.ts"],
    ["4", "examples/04-one-at-a-time.ts"],
    ["outbox", "examples/12-outbox.ts"],
    ["one-at-a-time", "examples/04-one-at-a-time.ts"],
    ["topics/data/streaming-export", "examples/topics/data/streaming-export.ts"],
    ["examples/topics/sessions/misuses.ts", "examples/topics/sessions/misuses.ts"],
    ["misuses", "examples/topics/sessions/misuses.ts"],
    ["export", "examples/topics/data/streaming-export.ts"],
    ["demo", "examples/demo/main.ts"]
  ])("by %s", (text, file) => {
    expect(named(text, files)).toEqual([file])
  })

  it("not, where there is none of that number or name", () => {
    expect(named("40", files)).toEqual([])
    expect(named("nothing", files)).toEqual([])
  })
})
