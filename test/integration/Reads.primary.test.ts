import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Outbox from "../../src/Outbox.js"
import * as Steps from "../../src/Steps.js"
import * as Transaction from "../../src/Transaction.js"
import { on } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  const onClient = <A, E, R>(test: (watched: Monitor.Watched) => Effect.Effect<A, E, R>) =>
    Monitor.withClient(
      { driver: { readPreference: "secondaryPreferred" } },
      (watched) => on(watched)(test(watched))
    )

  /** The names of the reads that a secondary may answer. */
  const onSecondaries = ({ monitor }: Monitor.Watched) =>
    Effect.map(
      monitor.commands,
      (commands) =>
        commands.flatMap(({ command, name }) =>
          reads.has(name) && command["$readPreference"]?.mode === "secondaryPreferred" ? [name] : []
        )
    )

  describe("whatever the client prefers, what decides how to go on is read on the primary:", () => {
    it.effect("the order of an outbox's messages, and how far its relay has come", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const database = yield* TestServer.database
          const Numbers = Outbox.make("numbers", { database })
          const options = { readPreference: "primary" } as const
          yield* Transaction.run(Numbers.publishAll([{ n: 1 }, { n: 2 }]), options)
          yield* watched.monitor.clear
          yield* Stream.runDrain(Numbers.relay(() => Effect.void, { poll: Schedule.stop }))
          expect(yield* watched.monitor.named("aggregate")).toHaveLength(1)
          expect(yield* onSecondaries(watched)).toEqual([])
        })
      ))

    it.effect("how far a workflow has come, and which are left", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const database = yield* TestServer.database
          const Workflow = Steps.make("workflow", { database, version: 1 })
          const body = (step: Steps.Step) => step("refuse", new Refused(), { failure: Refused })
          yield* watched.monitor.clear
          expect(yield* Effect.flip(Workflow.run("id", body))).toMatchObject({ _tag: "Refused" })
          expect(yield* Workflow.resume(body)).toEqual([])
          expect(yield* watched.monitor.named("find")).toHaveLength(2)
          expect(yield* onSecondaries(watched)).toEqual([])
        })
      ))
  })
})

const reads = new Set(["find", "aggregate", "getMore", "count"])
