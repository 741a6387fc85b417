import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { ClientSession } from "mongodb"
import * as Guarded from "../../bench/arms/guarded.js"

/** A session that notes what is done with it. */
const session = (commit: () => Promise<void> = () => Promise.resolve()) => {
  const done: Array<string> = []
  const noted = (name: string, then: () => Promise<void>) => () => {
    done.push(name)
    return then()
  }
  const nothing = () => Promise.resolve()
  const driver: Pick<ClientSession, "startTransaction" | "commitTransaction" | "abortTransaction"> = {
    startTransaction: () => void done.push("start"),
    commitTransaction: noted("commit", commit),
    abortTransaction: noted("abort", nothing)
  }
  const guarded: Guarded.Guarded = { session: driver as ClientSession, turn: Effect.unsafeMakeSemaphore(1) }
  return { done, guarded }
}

/** A promise that is settled from outside. */
const held = () => {
  let settle: (value: number) => void = () => undefined
  const promise = new Promise<number>((resolve) => settle = resolve)
  return { promise, settle }
}

describe("the arm of the benchmark that promises what the library does", () => {
  it.effect("runs the operations of a session one after the other", () =>
    Effect.gen(function*() {
      const { guarded } = session()
      const first = held()
      const one = yield* Effect.fork(Guarded.operation(guarded, () => first.promise))
      const sent: Array<number> = []
      const other = yield* Effect.fork(Guarded.operation(guarded, () => Promise.resolve(sent.push(2))))
      yield* Effect.yieldNow()
      expect(sent).toEqual([])
      first.settle(1)
      expect([yield* Fiber.join(one), yield* Fiber.join(other)]).toEqual([1, 1])
    }))

  it.effect("aborts what is interrupted, and waits until it has settled", () =>
    Effect.gen(function*() {
      const { guarded } = session()
      const { promise, settle } = held()
      const sent = yield* Deferred.make<AbortSignal>()
      const fiber = yield* Effect.fork(Guarded.operation(guarded, ({ signal }) => {
        Deferred.unsafeDone(sent, Effect.succeed(signal))
        return promise
      }))
      const signal = yield* Deferred.await(sent)
      const aborted = yield* Effect.fork(
        Effect.async<void>((resume) => signal.addEventListener("abort", () => resume(Effect.void)))
      )
      yield* Effect.yieldNow()
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Fiber.join(aborted)
      expect((yield* Fiber.poll(interrupting))._tag).toBe("None")
      settle(1)
      expect((yield* Fiber.join(interrupting))._tag).toBe("Failure")
    }))

  it.effect("fails with a typed error, and commits or aborts", () =>
    Effect.gen(function*() {
      const gone = new Error("gone")
      const failing = session(() => Promise.reject(gone))
      const body = Guarded.operation(failing.guarded, () => Promise.resolve(1))
      expect(yield* Effect.flip(Guarded.transaction(failing.guarded, body))).toEqual(
        new Guarded.Failed({ cause: gone })
      )
      expect(failing.done).toEqual(["start", "commit"])
      const { done, guarded } = session()
      expect(yield* Effect.flip(Guarded.transaction(guarded, Effect.fail("enough")))).toBe("enough")
      expect(done).toEqual(["start", "abort"])
    }))
})
