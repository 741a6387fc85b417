import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Session from "../../src/Session.js"
import { on, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const timedOut = { _tag: "MongoError", reason: "TimedOut" }

// Who waits and the driver have the same time limit. Whichever of them gives up first must not matter.
const often = 20

// See the specification "Client Side Operations Timeout", section "Cursors".
layer(TestServer.own(), { excludeTestServices: true })((it) => {
  describe("a read whose time is over leaves no cursor on the server", () => {
    for (
      const [when, blocked, options] of [
        ["before its first batch", ["find"], { timeout: "60 millis" }],
        ["between two batches", ["getMore"], { timeout: "60 millis", timeoutMode: "iteration" }],
        ["in the end of its lifetime", ["getMore"], { timeout: "60 millis" }],
        ["before its first change", ["aggregate"], { timeout: "60 millis", maxAwaitTime: "10 millis" }],
        ["between two changes", ["getMore"], { timeout: "60 millis", maxAwaitTime: "10 millis" }]
      ] as const
    ) {
      it.effect(`${when}, while its session goes on`, () =>
        Monitor.withClient({}, (watched) =>
          on(watched)(Effect.gen(function*() {
            const { Things } = yield* things(watched, 5)
            const read = "maxAwaitTime" in options
              ? Stream.runDrain(Things.watch([], options))
              : Stream.runDrain(Things.find({}, { ...options, batchSize: 1 }))
            yield* Monitor.block(watched, blocked, "120 millis")
            yield* Session.scoped(Effect.gen(function*() {
              for (let i = 0; i < often; i++) expect(yield* Effect.flip(read)).toMatchObject(timedOut)
              yield* Monitor.until(Monitor.openCursors(watched.monitor), (open) => open === 0)
            }))
          }))))
    }
  })
})
