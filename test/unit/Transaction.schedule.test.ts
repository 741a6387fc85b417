/**
 * Schedules of retries whose own effects do not end.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Collection from "../../src/Collection.js"
import * as Transaction from "../../src/Transaction.js"
import { clientWith, conflict } from "../support/server/connected.js"

const update = Collection.make("things").updateOne({ _id: 1 }, { $set: { n: 1 } })

const updated = { n: 1, nModified: 1 }

describe("a schedule of retries that does not end", () => {
  const stuck = Schedule.tapInput(Schedule.forever, () => Effect.never)

  const losing = Effect.gen(function*() {
    const { on, server } = yield* clientWith({ settleTimeout: "200 millis" })
    yield* server.on("update", conflict)
    return { on, server }
  })

  it.scopedLive("is given up after the settle timeout, and the transaction is aborted", () =>
    Effect.gen(function*() {
      const { on, server } = yield* losing
      const error = yield* on(Effect.flip(Transaction.run(update, { retry: stuck })))
      expect(error).toMatchObject({ _tag: "TransactionAborted", attempts: 1, last: { code: 112 } })
      expect(yield* server.named("abortTransaction")).toHaveLength(1)
    }))

  it.scopedLive("is given up when the time is over", () =>
    Effect.gen(function*() {
      const { on, server } = yield* clientWith()
      yield* server.on("update", conflict)
      const error = yield* on(Effect.flip(Transaction.run(update, { retry: stuck, timeout: "200 millis" })))
      expect(error).toMatchObject({ _tag: "TransactionAborted", attempts: 1, last: { code: 112 } })
    }))

  it.scopedLive("is given up after a commit that was refused", () =>
    Effect.gen(function*() {
      const { on, server } = yield* losing
      yield* server.on("update", updated)
      yield* server.on("commitTransaction", conflict)
      const error = yield* on(Effect.flip(Transaction.run(update, { retry: stuck })))
      expect(error).toMatchObject({ _tag: "TransactionAborted", attempts: 1, last: { code: 112 } })
    }))

  it.scopedLive("does not hold up who is interrupted, and leaves no transaction open", () =>
    Effect.gen(function*() {
      const { on, server } = yield* clientWith({ settleTimeout: "1 minute" })
      yield* server.on("update", conflict)
      const asked = yield* Deferred.make<void>()
      const retry = Schedule.tapInput(
        Schedule.forever,
        () => Effect.zipRight(Deferred.succeed(asked, undefined), Effect.never)
      )
      const running = yield* Effect.fork(on(Transaction.run(update, { retry })))
      yield* Deferred.await(asked)
      const [took, exit] = yield* Effect.timed(Fiber.interrupt(running))
      expect(Exit.isInterrupted(exit)).toBe(true)
      expect(Duration.toSeconds(took)).toBeLessThan(30)
      expect(yield* server.named("abortTransaction")).toHaveLength(1)
    }))

  it.scopedLive("is not asked where no other attempt may follow", () =>
    Effect.gen(function*() {
      const { on } = yield* losing
      let asked = 0
      const retry = Schedule.tapInput(Schedule.recurs(3), () => Effect.sync(() => void asked++))
      const exit = yield* on(
        Effect.exit(Transaction.run(Effect.zipRight(Effect.ignore(update), Effect.die("bug")), { retry }))
      )
      expect(Exit.isFailure(exit)).toBe(true)
      expect(asked).toBe(0)
    }))
})
