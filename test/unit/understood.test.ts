import { afterEach, describe, expect, it } from "@effect/vitest"
import * as Driver from "mongodb"
import { understood } from "../../src/internal/driver/understood.js"

const traces = Error.stackTraceLimit

afterEach(() => {
  Error.stackTraceLimit = traces
})

// The driver reads a field of nothing, as it does where a reply lacks what it should have.
const misread = async (): Promise<unknown> => Driver.ReadPreference.translate(null as never)

const failureOf = async (evaluate: () => PromiseLike<unknown>): Promise<unknown> => {
  try {
    return await understood(evaluate)
  } catch (error) {
    return error
  }
}

describe("a TypeError that the driver throws", () => {
  it.each([traces, 0])("is its error for unexpected replies (%d frames of a stack)", async (limit) => {
    Error.stackTraceLimit = limit
    const error = await failureOf(misread)
    expect(error).toBeInstanceOf(Driver.MongoUnexpectedServerResponseError)
    expect(error).toHaveProperty("cause", expect.any(TypeError))
  })
})

describe("an error that the program throws", () => {
  it("stays as it is", async () => {
    const bug = new TypeError("a listener's own")
    expect(await failureOf(() => Promise.reject(bug))).toBe(bug)
    const other = new RangeError("a listener's own")
    Error.stackTraceLimit = 0
    expect(await failureOf(() => Promise.reject(other))).toBe(other)
  })
})
