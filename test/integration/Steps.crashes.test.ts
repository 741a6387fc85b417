import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { live } from "../../src/testing/internal/live.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import { onClient } from "../support/data/collections.js"
import * as Processes from "../support/programs/processes.js"
import * as TestServer from "../support/server/testServer.js"
import { idOf, ordering, Refused, stops } from "../support/steps/orders.js"
import { until } from "../support/watch/until.js"

const program = new URL("../support/programs/steps.ts", import.meta.url)

/** The steps that were noted of each workflow, as they were inserted: ids of several processes are in no order. */
const notedIn = (collection: ReturnType<typeof ordering>["Effects"]) =>
  Effect.map(Stream.runCollect(collection.find({})), (found) => {
    const noted = new Map<string, Array<number>>(stops.map((at) => [idOf(at), []]))
    for (const { id, step } of found) noted.get(id)?.push(step)
    return noted
  })

// What a killed process has left open is gone soon.
layer(TestServer.own({ parameters: { transactionLifetimeLimitSeconds: 1 } }), { excludeTestServices: true })((it) => {
  describe("workflows of five steps whose process is killed at each of them", () => {
    it.effect("are taken up: each step has taken effect once, and compensations were run backwards", () =>
      onClient(({ client }) =>
        live(Effect.gen(function*() {
          const { url } = yield* MongoServer.MongoServer
          const database = yield* TestServer.database
          const { body, Compensations, Effects, Ordering } = ordering(database)
          yield* Effect.scoped(Effect.gen(function*() {
            const child = yield* Processes.start(program, [url, database])
            yield* child.firstLine
            yield* child.kill("SIGKILL")
            yield* child.ended
          }))
          // As if so much time had passed.
          yield* Effect.promise(() =>
            client.driver.db(database).collection("effect_mongo_session.steps").updateMany({}, {
              $set: { expiresAt: new Date(0) }
            })
          )
          const ended = new Map<string, unknown>()
          const resuming = Effect.map(Ordering.resume(body()), (resumed) => {
            for (const { exit, id } of resumed) {
              ended.set(id, Exit.match(exit, { onFailure: Cause.squash, onSuccess: (results) => results }))
            }
            // Those that have ended for good.
            return [...ended.values()].filter((end) => Array.isArray(end) || end instanceof Refused).length
          })
          yield* until(resuming, (done) => done === stops.length, "60 seconds")

          const effects = yield* notedIn(Effects)
          const compensations = yield* notedIn(Compensations)
          for (const at of stops) {
            const id = idOf(at)
            expect([id, ended.get(id)]).toEqual([id, at.fails ? new Refused() : [1, 2, 3, 4, 5]])
            // What was refused has left nothing.
            expect([id, effects.get(id)]).toEqual([id, at.fails ? [1, 2, 3, 4] : [1, 2, 3, 4, 5]])
            // A compensation that was not noted is run again.
            expect([id, compensations.get(id)]).toEqual([id, at.compensating ? [3, 3, 1] : at.fails ? [3, 1] : []])
          }
          // Nothing is left to be taken up, and who comes again has what was.
          expect(yield* Ordering.resume(body())).toEqual([])
          expect(yield* Ordering.run("1", body())).toEqual([1, 2, 3, 4, 5])
          expect(yield* Effect.flip(Ordering.run("1 refused", body()))).toEqual(new Refused())
          expect(yield* Effect.map(notedIn(Compensations), (noted) => noted.get("1 refused"))).toEqual([3, 1])
        }))
      ))
  })
})
