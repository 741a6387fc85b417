import { describe, expect, it } from "@effect/vitest"
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { Contender, Contention } from "../../src/internal/transaction/contention.js"
import { MongoError } from "../../src/MongoError.js"

const namespace = "bank.accounts"

const write = (_id: number) => ({ operation: "updateOne", namespace, filter: { _id } })

const conflict = new MongoError({ reason: "WriteConflict", operation: "updateOne", namespace, labels: [] })

const contender = (contention: Contention) =>
  Effect.withFiberRuntime<Contender>((fiber) => Effect.succeed(new Contender(fiber, contention)))

/** A contention in which a conflict has just been lost. */
const hot = Effect.gen(function*() {
  const contention = new Contention()
  const loser = yield* contender(contention)
  loser.begins(write(0))
  loser.loses(conflict)
  return contention
})

/** Begins a write as an operation does. */
const begin = (by: Contender, id: number) => Effect.map(by.before(write(id)) ?? Effect.void, () => by.begins(write(id)))

/** Whether a fiber has ended, once all that can run has run. */
const hasEnded = <A, E>(fiber: Fiber.RuntimeFiber<A, E>) =>
  Effect.zipRight(TestClock.adjust(0), Effect.map(Fiber.poll(fiber), (exit) => exit._tag === "Some"))

describe("transactions that fight for documents", () => {
  it.effect("do not wait, and are not known, where there was no conflict", () =>
    Effect.gen(function*() {
      const contention = new Contention()
      const [first, second] = [yield* contender(contention), yield* contender(contention)]
      first.begins(write(1))
      expect(second.before(write(1))).toBeUndefined()
      second.begins(write(1))
      expect(contention.queue.holderOf(`${namespace} n:1`)).toBeUndefined()
    }))

  it.effect("wait for who holds the document before they have anything open", () =>
    Effect.gen(function*() {
      const contention = yield* hot
      const [first, second, other] = [
        yield* contender(contention),
        yield* contender(contention),
        yield* contender(contention)
      ]
      yield* begin(first, 1)
      const waiting = yield* Effect.fork(begin(second, 1))
      expect(yield* hasEnded(waiting)).toBe(false)
      yield* begin(other, 2)
      // It holds something itself: the server decides.
      expect(other.before(write(1))).toBeUndefined()
      first.ends()
      expect(yield* hasEnded(waiting)).toBe(true)
    }))

  it.effect("have all that they had written to themselves after a lost conflict, first come, first served", () =>
    Effect.gen(function*() {
      const contention = yield* hot
      const [holder, loser, later] = [
        yield* contender(contention),
        yield* contender(contention),
        yield* contender(contention)
      ]
      yield* begin(holder, 2)
      yield* begin(loser, 1)
      yield* begin(loser, 2)
      loser.loses(conflict)
      expect(loser.hasLostToKnown).toBe(true)
      loser.ends()
      const again = yield* Effect.fork(loser.again(Duration.minutes(1)))
      const behind = yield* Effect.fork(begin(later, 2))
      expect(yield* hasEnded(again)).toBe(false)
      holder.ends()
      expect(yield* hasEnded(again)).toBe(true)
      expect(yield* hasEnded(behind)).toBe(false)
      loser.ends()
      expect(yield* hasEnded(behind)).toBe(true)
    }))

  it.effect("are passed while they wait for another document, but not for ever", () =>
    Effect.gen(function*() {
      const contention = yield* hot
      const holder = yield* contender(contention)
      yield* begin(holder, 2)
      const loser = yield* contender(contention)
      yield* begin(loser, 1)
      yield* begin(loser, 2)
      loser.loses(conflict)
      loser.ends()
      const again = yield* Effect.fork(loser.again(Duration.minutes(1)))
      yield* hasEnded(again)
      const passing = yield* Effect.forEach(Arr.range(1, 6), () =>
        Effect.gen(function*() {
          const other = yield* contender(contention)
          const fiber = yield* Effect.fork(begin(other, 1))
          const hasPassed = yield* hasEnded(fiber)
          if (hasPassed) other.ends()
          yield* Fiber.interrupt(fiber)
          return hasPassed
        }))
      expect(passing).toEqual([true, true, true, true, false, false])
      holder.ends()
      expect(yield* hasEnded(again)).toBe(true)
    }))

  it.effect("wait 5 seconds at most: who holds the document may wait for them", () =>
    Effect.gen(function*() {
      const contention = yield* hot
      const [holder, waiter] = [yield* contender(contention), yield* contender(contention)]
      yield* begin(holder, 1)
      const waiting = yield* Effect.fork(begin(waiter, 1))
      yield* TestClock.adjust("4999 millis")
      expect(yield* hasEnded(waiting)).toBe(false)
      yield* TestClock.adjust("1 millis")
      expect(yield* hasEnded(waiting)).toBe(true)
      // What it did not get, it does not give back.
      waiter.ends()
      expect(contention.queue.holderOf(`${namespace} n:1`)).toBe(holder)
    }))

  it.effect("give up their place when they are interrupted", () =>
    Effect.gen(function*() {
      const contention = yield* hot
      const all = yield* Effect.forEach(Arr.range(1, 3), () => contender(contention))
      const [holder, waiter, last] = all as [Contender, Contender, Contender]
      yield* begin(holder, 1)
      const waiting = yield* Effect.fork(begin(waiter, 1))
      yield* hasEnded(waiting)
      const behind = yield* Effect.fork(begin(last, 1))
      yield* hasEnded(behind)
      yield* Fiber.interrupt(waiting)
      waiter.ends()
      holder.ends()
      expect(yield* hasEnded(behind)).toBe(true)
    }))

  describe("run no more of them at once", () => {
    /** A contention in which so many attempts in a row have lost a conflict. */
    const crowded = (losses: number) =>
      Effect.gen(function*() {
        const contention = yield* hot
        for (const id of Arr.range(1, losses)) {
          const loser = yield* contender(contention)
          yield* begin(loser, id)
          loser.loses(conflict)
          loser.ends()
        }
        return contention
      })

    it.effect("than seldom meet: after many conflicts one, whatever they write", () =>
      Effect.gen(function*() {
        const contention = yield* crowded(6)
        const [first, second] = [yield* contender(contention), yield* contender(contention)]
        yield* begin(first, 1)
        const waiting = yield* Effect.fork(begin(second, 2))
        expect(yield* hasEnded(waiting)).toBe(false)
        first.ends()
        expect(yield* hasEnded(waiting)).toBe(true)
      }))

    it.effect("and more again, the more of them end without a conflict", () =>
      Effect.gen(function*() {
        const contention = yield* crowded(6)
        const room = Effect.gen(function*() {
          const all = yield* Effect.forEach(Arr.range(1, 8), (id) =>
            Effect.gen(function*() {
              const by = yield* contender(contention)
              const fiber = yield* Effect.fork(begin(by, id))
              return { by, fiber, hasBegun: yield* hasEnded(fiber) }
            }))
          for (const { by, fiber } of all) {
            yield* Fiber.interrupt(fiber)
            by.ends()
          }
          return all.filter(({ hasBegun }) => hasBegun).length
        })
        const rooms = [yield* room, yield* room, yield* room, yield* room, yield* room, yield* room, yield* room]
        expect(rooms[0]).toBe(1)
        expect(rooms.at(-1)).toBeGreaterThan(2)
      }))

    it.effect("for a quarter of a second at most, where the document is free", () =>
      Effect.gen(function*() {
        const contention = yield* crowded(6)
        const [first, second] = [yield* contender(contention), yield* contender(contention)]
        yield* begin(first, 1)
        const waiting = yield* Effect.fork(begin(second, 2))
        yield* TestClock.adjust("249 millis")
        expect(yield* hasEnded(waiting)).toBe(false)
        yield* TestClock.adjust("1 millis")
        expect(yield* hasEnded(waiting)).toBe(true)
        expect(contention.queue.holderOf(`${namespace} n:2`)).toBe(second)
      }))

    it.effect("where nobody knows which document a write finds, too", () =>
      Effect.gen(function*() {
        const contention = yield* crowded(6)
        const [first, second] = [yield* contender(contention), yield* contender(contention)]
        yield* begin(first, 1)
        const unknown = { operation: "updateMany", namespace, filter: { balance: { $lt: 0 } } }
        const waiting = yield* Effect.fork(second.before(unknown) ?? Effect.void)
        expect(yield* hasEnded(waiting)).toBe(false)
        first.ends()
        expect(yield* hasEnded(waiting)).toBe(true)
      }))

    it.effect("and those first that have lost a conflict before", () =>
      Effect.gen(function*() {
        const contention = yield* crowded(6)
        const all = yield* Effect.forEach(Arr.range(1, 3), () => contender(contention))
        const [holder, first, loser] = all as [Contender, Contender, Contender]
        yield* begin(loser, 3)
        loser.loses(conflict)
        loser.ends()
        yield* begin(holder, 1)
        const coming = yield* Effect.fork(begin(first, 2))
        yield* hasEnded(coming)
        const again = yield* Effect.fork(loser.again(Duration.minutes(1)))
        yield* hasEnded(again)
        holder.ends()
        expect(yield* hasEnded(again)).toBe(true)
        expect(yield* hasEnded(coming)).toBe(false)
      }))
  })

  it.effect("are forgotten 10 seconds after the last conflict", () =>
    Effect.gen(function*() {
      const contention = yield* hot
      const isHot = Effect.map(Effect.clock, (clock) =>
        contention.heatOf(namespace, () => clock.unsafeCurrentTimeMillis()) !== undefined)
      yield* TestClock.adjust("9999 millis")
      expect(yield* isHot).toBe(true)
      yield* TestClock.adjust("1 millis")
      expect(yield* isHot).toBe(false)
    }))

  it.effect("all come to write, no two of them the same at once, whatever they write and whoever is interrupted", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(
          FastCheck.array(
            FastCheck.record({
              ids: FastCheck.uniqueArray(FastCheck.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 3 }),
              steps: FastCheck.integer({ min: 0, max: 5 }),
              isInterrupted: FastCheck.boolean()
            }),
            { minLength: 1, maxLength: 12 }
          ),
          (plans) =>
            Effect.runPromise(Effect.gen(function*() {
              const contention = yield* hot
              const writing = new Map<number, number>()
              let done = 0
              // A server: who writes what another one has written loses.
              const run = ({ ids, steps }: (typeof plans)[number], by: Contender, index: number): Effect.Effect<void> =>
                Effect.gen(function*() {
                  for (const id of ids) {
                    yield* begin(by, id)
                    if ((writing.get(id) ?? index) !== index) {
                      by.loses(conflict)
                      break
                    }
                    writing.set(id, index)
                    yield* Effect.repeatN(Effect.yieldNow(), steps)
                  }
                  const hasLost = by.hasLostToKnown
                  for (const [id, writer] of writing) if (writer === index) writing.delete(id)
                  by.ends()
                  if (!hasLost) return
                  yield* by.again(Duration.minutes(1))
                  yield* run({ ids, steps, isInterrupted: false }, by, index)
                })
              const fibers = yield* Effect.forEach(plans, (plan, index) =>
                Effect.fork(Effect.flatMap(contender(contention), (by) =>
                  Effect.ensuring(
                    Effect.andThen(
                      run(plan, by, index),
                      Effect.sync(() => done++)
                    ),
                    Effect.sync(() => {
                      for (const [id, writer] of writing) {
                        if (writer === index) {
                          writing.delete(id)
                        }
                      }
                      by.ends()
                    })
                  ))))
              yield* Effect.yieldNow()
              yield* Effect.forEach(
                Arr.zip(plans, fibers),
                ([{ isInterrupted }, fiber]) =>
                  isInterrupted ? Fiber.interrupt(fiber) : Effect.void
              )
              yield* Effect.timeout(Effect.forEach(fibers, Fiber.await), "2 seconds")
              expect(done).toBeGreaterThanOrEqual(plans.filter(({ isInterrupted }) => !isInterrupted).length)
              for (const id of Arr.range(0, 4)) {
                expect(contention.queue.holderOf(`${namespace} n:${id}`)).toBeUndefined()
              }
            }))
        ),
        { numRuns: 300 }
      )
    ))
})
