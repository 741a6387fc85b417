import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { live } from "../../src/testing/internal/live.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import { numbers } from "../support/data/collections.js"
import * as Crashes from "../support/programs/crashes.js"
import * as Processes from "../support/programs/processes.js"
import * as Proxy from "../support/server/proxy.js"
import * as TestServer from "../support/server/testServer.js"
import { until } from "../support/watch/until.js"

const count = 60

const program = new URL("../support/programs/once.ts", import.meta.url)

// What a killed process has left open is gone soon.
layer(TestServer.own({ parameters: { transactionLifetimeLimitSeconds: 1 } }), { excludeTestServices: true })((it) => {
  describe("two instances that are killed again and again, one of them behind a network that breaks", () => {
    it.effect(
      `have done each key once, with one answer for all (${Crashes.count} crashes, seed ${Crashes.seed})`,
      () =>
        live(
          Effect.scoped(Effect.gen(function*() {
            const { url } = yield* MongoServer.MongoServer
            const database = yield* TestServer.database
            const driver = yield* TestServer.driver()
            const db = driver.db(database)
            const answers = db.collection("answers")
            const port = new URL(url).port
            const proxy = yield* Proxy.make(Number(port))
            const broken = new URL(url.replace(port, String(proxy.port)))
            broken.searchParams.delete("replicaSet")
            broken.searchParams.set("directConnection", "true")
            let commits = 0
            const cuts = { request: 0, reply: 0 }
            // Of the commits behind it, some are lost on their way there, and some answers on their way back.
            const breaking = proxy.cutAt((_, command) => {
              if (command !== "commitTransaction") return undefined
              const cut = [undefined, undefined, "reply", undefined, undefined, "request", undefined][commits++ % 7] as
                | Proxy.Cut
                | undefined
              if (cut !== undefined) cuts[cut]++
              return cut
            })
            yield* breaking
            const bundle = yield* Processes.bundled(program)
            const startAs = (name: string, at: string) => Processes.start(bundle, [at, database, String(count), name])
            const killing = (name: string, at: string, times: number) =>
              Effect.forEach(numbers(times), () =>
                Effect.scoped(Effect.gen(function*() {
                  const child = yield* startAs(name, at)
                  yield* child.firstLine
                  yield* Effect.sleep(yield* Random.nextRange(0, 400))
                  yield* child.kill("SIGKILL")
                  yield* child.ended
                })), { discard: true })
            yield* Effect.all([
              killing("one", url, Math.ceil(Crashes.count / 2)),
              killing("two", broken.href, Math.floor(Crashes.count / 2))
            ], { concurrency: 2, discard: true })
            yield* Effect.scoped(Effect.gen(function*() {
              yield* startAs("one", url)
              yield* startAs("two", broken.href)
              for (const by of ["one", "two"]) {
                yield* until(
                  Effect.promise(() => answers.distinct("key", { by })),
                  (keys) => keys.length === count,
                  "60 seconds"
                )
              }
            }))

            const tokens = yield* Effect.promise(() =>
              answers.aggregate([{ $group: { _id: "$key", tokens: { $addToSet: "$token" } } }, { $sort: { _id: 1 } }])
                .toArray()
            )
            expect(tokens.map(({ _id, tokens }) => [_id, tokens.length])).toEqual(numbers(count).map((key) => [key, 1]))
            const effects = yield* Effect.promise(() => db.collection("effects").find().sort({ key: 1 }).toArray())
            // What was refused has left nothing.
            expect(effects.map(({ key, token }) => [key, token])).toEqual(
              tokens.filter(({ _id }) => _id % 5 !== 0).map(({ _id, tokens }) => [_id, tokens[0]])
            )
            const counters = yield* Effect.promise(() => db.collection("counters").find().sort({ of: 1 }).toArray())
            expect(counters.map(({ n, of }) => [of, n])).toEqual([1, 2, 3, 4].map((of) => [of, count / 5]))
            expect(Math.min(cuts.request, cuts.reply)).toBeGreaterThan(0)
          })).pipe(Effect.withRandom(Random.make(Crashes.seed)))
        ),
      120_000 + Crashes.count * 10_000
    )
  })
})
