/**
 * Causal reads at secondaries across two processes: whoever has a token reads what was written before it, and what was read
 * before it, and never less afterwards.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { fileURLToPath } from "node:url"
import * as CausalToken from "../../../src/CausalToken.js"
import * as Child from "../../tools/child.js"
import * as Causal from "../checker/causal.js"
import * as Counter from "../counter.js"
import type { Answer, Question } from "../reader.js"
import * as Telling from "../telling.js"
import { clientOf, type Make, on, untilOver } from "../world.js"

const keys = 3

/** Makes the workload, with so many fibers, and a second process that reads by the URL. */
export const make = (fibers: number, url: string): Make => (world) =>
  Effect.gen(function*() {
    const { calm, database, dice, tally } = world
    yield* Effect.promise(() => calm.db(database).createCollection("counters"))
    const { ask } = yield* reader(url)
    const chains: Array<Causal.Chain> = []
    const once = (fiber: number, choice: ReturnType<typeof dice>) =>
      Effect.gen(function*() {
        const key = `c${choice.below(keys)}`
        const steps: Array<Causal.Step> = []
        chains.push({ id: `${fiber}/${chains.length}`, steps })
        const written = yield* on(clientOf(world, fiber))(Counter.increment(database, key))
        steps.push({ who: "the writer", n: written.n })
        const answer = yield* ask({ database, key, token: CausalToken.encode(written.token) })
        if (answer?.n === undefined || answer.token === undefined) return void tally.add("causal: no answer")
        steps.push({ who: "the other process", n: answer.n })
        const token = Either.getOrThrow(CausalToken.decode(answer.token))
        const read = yield* on(clientOf(world, fiber + 1))(Counter.readAfter(token, database, key, 2))
        for (const n of read.counts) steps.push({ who: "another client", n })
      }).pipe(
        Effect.exit,
        Effect.map((exit) => tally.add(`causal: ${Telling.nameOf(world, "causal", exit)}`))
      )
    return {
      name: "causal reads",
      fibers: Array.from({ length: fibers }, (_, fiber) => {
        const choice = dice(6, fiber)
        return untilOver(world, Effect.zipLeft(Effect.suspend(() => once(fiber, choice)), Effect.sleep("20 millis")))
      }),
      check: Effect.sync(() => Causal.check(chains))
    }
  })

// The second process. What it does not answer in time is left.
const reader = (url: string) =>
  Effect.gen(function*() {
    const { child, firstLine } = yield* Effect.acquireRelease(
      Effect.sync(() =>
        Child.startProgram(fileURLToPath(new URL("../reader.ts", import.meta.url)), [url], {
          stdio: ["pipe", "pipe", "inherit"]
        })
      ),
      ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
    )
    const waiting = new Map<number, Deferred.Deferred<Answer>>()
    Child.onLine(child.stdout, (line) => {
      if (!line.startsWith("{")) return
      const answer: Answer = JSON.parse(line)
      const one = waiting.get(answer.id)
      if (one !== undefined) Deferred.unsafeDone(one, Effect.succeed(answer))
    })
    yield* Effect.promise(() => firstLine)
    let next = 0
    const ask = (question: Omit<Question, "id">): Effect.Effect<Answer | undefined> =>
      Effect.gen(function*() {
        const id = next++
        const answered = yield* Deferred.make<Answer>()
        waiting.set(id, answered)
        child.stdin?.write(`${JSON.stringify({ id, ...question })}\n`)
        return yield* Deferred.await(answered).pipe(
          Effect.timeoutTo({ duration: "30 seconds", onSuccess: (answer) => answer, onTimeout: () => undefined }),
          Effect.ensuring(Effect.sync(() => waiting.delete(id)))
        )
      })
    return { ask }
  })
