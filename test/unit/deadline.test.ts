import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as fc from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import type { ClientSession } from "mongodb"
import { vi } from "vitest"
import { bounded, during, late, maxTimeMS } from "../../src/internal/driver/deadline.js"
import * as Time from "../../src/internal/time/clock.js"
import { MongoError } from "../../src/MongoError.js"

const name = { operation: "find", namespace: "shop.users" }

const within = (timeout: Duration.DurationInput) =>
  Effect.withFiberRuntime<Time.Deadline>((fiber) => Effect.succeed(Time.start(fiber, Duration.decode(timeout))))

const withLeft = (millis: number): Time.Deadline => ({ timeout: Duration.zero, left: () => millis })

describe("a deadline", () => {
  it.effect("has less and less time left, by the clock of the fiber", () =>
    Effect.gen(function*() {
      const deadline = yield* within("2 seconds")
      expect(deadline.left()).toBe(2000)
      yield* TestClock.adjust("1500 millis")
      expect(deadline.left()).toBe(500)
      yield* TestClock.adjust("1 second")
      expect(deadline.left()).toBe(-500)
    }))

  it.effect("that is over lets nothing begin", () =>
    Effect.gen(function*() {
      const deadline = yield* within("1 second")
      yield* TestClock.adjust("1 second")
      let hasBegun = false
      const error = yield* Effect.flip(bounded(deadline, name, Effect.sync(() => void (hasBegun = true))))
      expect(error).toMatchObject({ _tag: "MongoError", reason: "TimedOut", ...name })
      expect(hasBegun).toBe(false)
    }))

  it.effect("ends the wait at once, and interrupts what was waited for, however long that goes on", () =>
    Effect.gen(function*() {
      const deadline = yield* within("1 second")
      const interrupted = yield* Deferred.make<void>()
      const slow = Effect.onInterrupt(
        Effect.never,
        () => Effect.zipRight(Deferred.succeed(interrupted, undefined), Effect.never)
      )
      const waiting = yield* Effect.fork(Effect.flip(bounded(deadline, name, slow)))
      yield* TestClock.adjust("999 millis")
      expect(yield* Fiber.poll(waiting)).toMatchObject({ _tag: "None" })
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(waiting)).toMatchObject({ reason: "TimedOut" })
      yield* Deferred.await(interrupted)
    }))

  it.effect("is kept where nothing can be interrupted, too", () =>
    Effect.gen(function*() {
      const deadline = yield* within("1 second")
      const limited = bounded(deadline, name, Effect.never)
      const waiting = yield* Effect.fork(Effect.uninterruptible(Effect.flip(limited)))
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(waiting)).toMatchObject({ reason: "TimedOut" })
    }))

  it.effect("leaves an interruption to wait until the effect is done", () =>
    Effect.gen(function*() {
      const deadline = yield* within("1 hour")
      const order: Array<string> = []
      const begun = yield* Deferred.make<void>()
      const effect = Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never).pipe(
        Effect.onInterrupt(() => Effect.zipRight(Effect.sleep("5 seconds"), Effect.sync(() => order.push("settled"))))
      )
      const waiting = yield* Effect.fork(bounded(deadline, name, effect))
      yield* Deferred.await(begun)
      const interrupting = yield* Effect.fork(
        Effect.zipRight(Fiber.interrupt(waiting), Effect.sync(() => order.push("interrupted")))
      )
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(interrupting)
      expect(order).toEqual(["settled", "interrupted"])
    }))

  it.effect("that is kept changes nothing of what comes out", () =>
    Effect.gen(function*() {
      const deadline = yield* within("1 second")
      expect(yield* bounded(deadline, name, Effect.succeed(1))).toBe(1)
      expect(yield* Effect.flip(bounded(deadline, name, Effect.fail("no")))).toBe("no")
    }))

  it("tells the server whole milliseconds: what is left, or less if less was asked for, and never no limit", () => {
    fc.assert(fc.property(
      fc.double({ min: -1e6, max: 1e12, noNaN: true }),
      fc.option(fc.integer({ min: 0, max: 1e6 }), { nil: undefined }),
      (left, asked) => {
        const millis = maxTimeMS(withLeft(left), asked)
        expect(Number.isInteger(millis)).toBe(true)
        expect(millis).toBeGreaterThanOrEqual(1)
        expect(millis).toBeLessThan(2 ** 31)
        expect(millis).toBeLessThanOrEqual(Math.max(1, left))
        if (asked !== undefined && asked > 0) expect(millis).toBeLessThanOrEqual(asked)
      }
    ))
    expect(maxTimeMS(withLeft(250.7), undefined)).toBe(250)
    expect(maxTimeMS(withLeft(250.7), 100)).toBe(100)
    expect(maxTimeMS(withLeft(250.7), 0)).toBe(250)
  })

  it("makes a time-out of what was waited for in vain, with the failure as its cause and its labels", () => {
    const error = (reason: MongoError["reason"]) =>
      new MongoError({ reason, operation: "find", labels: ["RetryableError"] })
    for (const reason of ["ServerSelectionFailed", "PoolFailure", "Interrupted"] as const) {
      const last = error(reason)
      expect(late(withLeft(0), name, last)).toMatchObject({
        reason: "TimedOut",
        labels: ["RetryableError"],
        cause: last
      })
      expect(late(withLeft(1), name, last)).toBe(last)
    }
    const duplicate = error("DuplicateKey")
    expect(late(withLeft(-1), name, duplicate)).toBe(duplicate)
    expect(late(withLeft(-1), name, "mine")).toBe("mine")
  })

  it("makes a time-out of a wait for a majority that has taken longer than the server was told, whoever was first", () => {
    const of = (code: number) =>
      new MongoError({ reason: "WriteConcernFailed", operation: "insert", code, labels: [], cause: "the driver's" })
    for (const left of [-1, 1]) {
      expect(late(withLeft(left), name, of(50))).toMatchObject({ reason: "TimedOut", code: 50, cause: "the driver's" })
      expect(late(withLeft(left), name, of(64))).toMatchObject({ reason: "WriteConcernFailed", code: 64 })
    }
  })

  describe("as the driver is given it", () => {
    // What the driver keeps of a session, and asks for a time limit when it reads from a socket.
    interface Session {
      timeoutContext: Context | null
      readonly client: { readonly options: object }
    }
    interface Context {
      readonly timeoutForSocketRead: Promise<never>
    }

    /** Hands over a deadline that begins now, and what the driver has in an operation with it. */
    const given = <A, E, R>(
      timeout: Duration.DurationInput,
      use: (context: Context, deadline: Time.Deadline) => Effect.Effect<A, E, R>
    ) =>
      Effect.withFiberRuntime<A, E, R>((fiber) => {
        const options = { serverSelectionTimeoutMS: 30_000, waitQueueTimeoutMS: 0 }
        const session: Session = { timeoutContext: null, client: { options } }
        const deadline = Time.start(fiber, Duration.decode(timeout))
        let context: Context | undefined
        const running = during(session as unknown as ClientSession, deadline, fiber, () => {
          context = session.timeoutContext ?? undefined
          return Promise.resolve()
        })
        return Effect.zipRight(
          Effect.promise(() => running),
          context === undefined ? Effect.dieMessage("the driver was given no time limit") : use(context, deadline)
        )
      })

    const ended = (read: Promise<never>) => Effect.flip(Effect.tryPromise({ try: () => read, catch: String }))

    // A read with 30 ms, and the order in which who waits for it and the driver see its end. None if it began too late.
    const order = given("30 millis", (context, deadline) => {
      const seen: Array<string> = []
      const note = (what: string) => Effect.sync(() => void seen.push(what))
      return Effect.gen(function*() {
        const isOver = yield* Deferred.make<void>()
        let isInTime = false
        const read = Effect.suspend(() => {
          isInTime = deadline.left() > 0
          return ended(context.timeoutForSocketRead)
        }).pipe(
          Effect.zipRight(note("the driver")),
          Effect.ensuring(Deferred.succeed(isOver, undefined)),
          Effect.uninterruptible
        )
        yield* Effect.zipRight(Effect.exit(bounded(deadline, name, read)), note("who waits"))
        yield* Deferred.await(isOver)
        return isInTime ? seen : []
      })
    })

    it.live("ends a read only after who waits for it has given up, and so closes what it has opened", () =>
      Effect.gen(function*() {
        const all = yield* Effect.replicateEffect(order, 60, { concurrency: 4 })
        // On a busy machine, a read may begin when its time is over.
        const begun = all.filter(({ length }) => length > 0)
        expect(begun.length).toBeGreaterThan(0)
        for (const seen of begun) expect(seen).toEqual(["who waits", "the driver"])
      }))

    it.live("ends it in that order also where the timer of who waits is late", () =>
      Effect.gen(function*() {
        const { setTimeout } = globalThis
        const late = vi.spyOn(globalThis, "setTimeout").mockImplementationOnce((then, millis) =>
          setTimeout(then, millis! + 200)
        )
        const [time, seen] = yield* Effect.timed(order)
        expect(late).toHaveBeenCalled()
        late.mockRestore()
        // That timer was not waited for.
        expect(Duration.toMillis(time)).toBeLessThan(200)
        expect(seen).toEqual(["who waits", "the driver"])
      }))
  })
})
