import { describe, expect, it } from "@effect/vitest"
import { faultOf, stored } from "../../src/internal/values/fault.js"

class Job {
  readonly id = 1
  get result(): number {
    throw new Error("not done yet")
  }
}

const circle: { self?: unknown } = {}
circle.self = circle

describe("a value of a stranger's", () => {
  it("has a fault where something in it throws, or goes on for ever", () => {
    expect(faultOf(new Job())).toBe("cannot be read: a getter or a proxy in it throws")
    expect(faultOf(circle)).toBe("is nested too deeply")
    expect(faultOf(circle, stored)).toBe("is nested too deeply")
    for (const value of [undefined, 1, "text", {}, [{ a: [1] }], new Uint8Array(2 ** 20)]) {
      expect(faultOf(value)).toBeUndefined()
    }
  })

  it("that is sent as it is has none in what the encoder does not read", () => {
    expect(faultOf({ job: new Job() }, stored)).toBeUndefined()
    expect(faultOf({ node: { ...circle, toBSON: () => "a node" } }, stored)).toBeUndefined()
    expect(faultOf({
      get a(): number {
        throw new Error("secret")
      }
    }, stored)).toBeDefined()
  })
})
