/**
 * What belongs before a commit by hand, while that waits for its turn: it is never accepted and then forgotten.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Collection from "../../src/Collection.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { clientWith } from "../support/server/connected.js"

const Things = Collection.make("things")
const insert = Things.insertOne({})

const ways = [
  ["", <A, E, R>(effect: Effect.Effect<A, E, R>) => Session.scoped(Effect.zipRight(Transaction.start(), effect))],
  [" in the body of a run", <A, E, R>(effect: Effect.Effect<A, E, R>) => Transaction.run(effect)]
] as const

/** Begins a commit that waits for another operation, which `answer` ends. */
const waiting = Effect.gen(function*() {
  const { on, server } = yield* clientWith()
  const answer = yield* Deferred.make<void>()
  yield* server.on("insert", (_, { count }) => count === 0 ? {} : Effect.as(Deferred.await(answer), {}))
  const ran: Array<string> = []
  const hook = (name: string) => Transaction.run(Transaction.beforeCommit(Effect.sync(() => ran.push(name))))
  const begin = Effect.gen(function*() {
    yield* insert
    yield* hook("first")
    const slow = yield* Effect.fork(insert)
    yield* server.awaitCommand("insert", 2)
    const commit = yield* Effect.fork(Transaction.commit)
    while (ran.length === 0) yield* Effect.yieldNow()
    return { commit, slow }
  })
  return { on, server, answer: Deferred.succeed(answer, undefined), begin, hook, ran }
})

describe("a beforeCommit that is registered while a commit by hand waits for its turn", () => {
  for (const [where, within] of ways) {
    it.scopedLive(`runs, or is refused${where}`, () =>
      Effect.gen(function*() {
        const { answer, begin, hook, on, ran, server } = yield* waiting
        yield* on(within(Effect.gen(function*() {
          const { commit, slow } = yield* begin
          const refused: Array<string> = []
          const register = Effect.catchTag(hook("late"), "TransactionEnded", ({ _tag }) =>
            Effect.sync(() =>
              refused.push(_tag)
            ))
          let registered = 0
          for (; refused.length === 0 && registered < 100; registered++) {
            yield* register
            yield* Effect.yieldNow()
          }
          yield* answer
          yield* Fiber.join(slow)
          yield* Fiber.join(commit)
          expect(ran).toHaveLength(registered)
          expect(yield* server.named("commitTransaction")).toHaveLength(1)
        })))
      }))
  }

  it.scopedLive("runs before the next commit, where the first was interrupted", () =>
    Effect.gen(function*() {
      const { answer, begin, hook, on, ran } = yield* waiting
      yield* on(ways[0][1](Effect.gen(function*() {
        const { commit, slow } = yield* begin
        yield* Fiber.interrupt(commit)
        yield* hook("second")
        yield* answer
        yield* Fiber.join(slow)
        yield* Transaction.commit
        expect(ran).toEqual(["first", "second"])
      })))
    }))
})
