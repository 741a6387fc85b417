import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import { ConsumerReplaced } from "../../src/SessionErrors.js"

describe("ConsumerReplaced", () => {
  const error = new ConsumerReplaced({ consumer: "mailer" })

  it("says who was replaced, and what not to do about it", () => {
    expect(error.message).toBe("another consumer named mailer has taken over")
    expect(error.hint).toMatch(/do not start this one again/)
    expect(JSON.parse(JSON.stringify(error)))
      .toEqual({ _tag: "ConsumerReplaced", message: error.message, hint: error.hint, consumer: "mailer" })
  })

  it("keeps its own name as an error, by which logs call it", () => {
    expect(error.name).toBe("ConsumerReplaced")
    expect(Cause.pretty(Cause.fail(error))).toContain("ConsumerReplaced: another consumer named mailer")
  })
})
