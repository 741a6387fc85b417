import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Lease from "../../src/Lease.js"
import * as Once from "../../src/Once.js"
import * as Steps from "../../src/Steps.js"
import { live } from "../../src/testing/internal/live.js"
import * as Transaction from "../../src/Transaction.js"
import { on } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe.each([{ promoteValues: false }, { promoteLongs: false }])("a client with %o", (driver) => {
    it.effect("renews and guards leases, stores results, and runs steps", () =>
      Monitor.withClient({ driver }, (watched) =>
        live(Effect.gen(function*() {
          const database = yield* TestServer.database
          const guarded = Effect.zipRight(Effect.sleep("200 millis"), Transaction.run(Lease.guard))
          yield* Lease.make("lease", { database, for: "10 seconds", renew: "20 millis" }).run(guarded)
          const Counting = Once.make("counting", { database, result: Schema.String })
          expect(yield* Counting.run("a", Effect.succeed("one"))).toBe("one")
          const Tracing = Steps.make("tracing", { database, version: 1 })
          const body = (step: Steps.Step) => step("one", Effect.succeed("one"), { result: Schema.String })
          expect(yield* Tracing.run("a", body)).toBe("one")
          expect(yield* Tracing.run("a", body)).toBe("one")
        })).pipe(on(watched))))
  })
})
