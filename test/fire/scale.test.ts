import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { costs, exponent } from "../support/fire/measure.js"

describe("many open sessions", () => {
  it.live(
    "are refreshed by one command for 10,000 of them, hold 2 KiB each, and opening takes no longer the more there are",
    () =>
      Effect.gen(function*() {
        yield* costs(500)
        const few = yield* costs(1_000)
        const many = yield* costs(10_001)
        expect(few).toMatchObject({ commands: 1, refreshed: 1_000 })
        expect(many).toMatchObject({ commands: 2, refreshed: 10_001 })
        // What a session holds before it is used, beside the driver's own.
        expect(many.bytes - many.driverBytes).toBeLessThanOrEqual(2048)
        // Linear is 1, quadratic 2. Others have the processors, too.
        expect(exponent([few.sessions, few.opening], [many.sessions, many.opening])).toBeLessThan(1.5)
      }),
    120_000
  )
})
