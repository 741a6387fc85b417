import { describe, expect, layer } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Steps from "../../src/Steps.js"
import { live } from "../../src/testing/internal/live.js"
import * as Transaction from "../../src/Transaction.js"
import { onKeys, OutOfStock, type Place } from "../support/once/keys.js"
import * as TestServer from "../support/server/testServer.js"

class Unreachable extends Data.TaggedError("Unreachable")<{}> {}

const refused = new OutOfStock({ item: "book" })

/** A workflow of two steps and an end, which writes down what it does. */
const traced = ({ database, insert }: Place, version = 1) => {
  const Tracing = Steps.make("tracing", { database, version, poll: Schedule.spaced("10 millis") })
  const trace: Array<string> = []
  const note = (what: string) => Effect.sync(() => void trace.push(what))
  const body =
    <E, E2 = never>(end: Effect.Effect<unknown, E>, undo: Effect.Effect<unknown, E2> = Effect.void) =>
    (step: Steps.Step) =>
      Effect.gen(function*() {
        const one = yield* step("one", Effect.as(Effect.zipRight(insert(1), note("one")), 10), {
          result: Schema.Number,
          compensate: (n) => note(`one is compensated: ${n}`)
        })
        yield* step("two", Effect.zipRight(insert(2), note("two")), {
          compensate: () => Effect.zipRight(undo, note("two is compensated"))
        })
        yield* step("end", Effect.zipRight(insert(3), end), { failure: OutOfStock })
        return one
      })
  return { Tracing, trace, body }
}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a workflow of steps", () => {
    it.effect("runs each step once, in order, and gives its result again", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { body, trace, Tracing } = traced(place)
          expect(yield* Tracing.run("a", body(Effect.void))).toBe(10)
          expect(yield* Tracing.run("a", body(Effect.die("not again")))).toBe(10)
          expect(trace).toEqual(["one", "two"])
          expect(yield* place.stored).toEqual([1, 2, 3])
          expect(yield* Tracing.resume(body(Effect.void))).toEqual([])
        }))
      ))

    it.effect("goes on where it was after a failure that may go away, also when two run it at once", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { body, trace, Tracing } = traced(place)
          expect(yield* Effect.flip(Tracing.run("a", body(new Unreachable())))).toEqual(new Unreachable())
          expect(trace).toEqual(["one", "two"])
          expect(yield* place.stored).toEqual([1, 2])
          const run = Tracing.run("a", body(Effect.void))
          expect(yield* Effect.all([run, place.onOther(run)], { concurrency: 2 })).toEqual([10, 10])
          expect(trace).toEqual(["one", "two"])
          expect(yield* place.stored).toEqual([1, 2, 3])
        }))
      ))

    it.effect("is compensated backwards when a step fails for good, and fails so ever after", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { body, trace, Tracing } = traced(place)
          expect(yield* Effect.flip(Tracing.run("a", body(refused)))).toEqual(refused)
          const all = ["one", "two", "two is compensated", "one is compensated: 10"]
          expect(trace).toEqual(all)
          expect(yield* Effect.flip(Tracing.run("a", body(Effect.void)))).toEqual(refused)
          expect(trace).toEqual(all)
          expect(yield* place.stored).toEqual([1, 2])
        }))
      ))

    it.effect("goes on with a compensation that has failed", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { body, trace, Tracing } = traced(place)
          const error = yield* Effect.flip(Tracing.run("a", body(refused, new Unreachable())))
          expect(error).toMatchObject({ _tag: "CompensationFailed", step: "two", error: new Unreachable() })
          const [resumed] = yield* Tracing.resume(body(refused))
          expect(resumed).toMatchObject({ id: "a", exit: { cause: { error: refused } } })
          expect(trace).toEqual(["one", "two", "two is compensated", "one is compensated: 10"])
        }))
      ))

    it.effect("is refused to another version, whose worker leaves it alone", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const old = traced(place)
          const next = traced(place, 2)
          yield* Effect.flip(old.Tracing.run("a", old.body(new Unreachable())))
          const error = yield* Effect.flip(next.Tracing.run("a", next.body(Effect.void)))
          expect(error).toMatchObject({ _tag: "StepsOutdated", steps: "tracing", version: 2, found: 1 })
          expect(yield* next.Tracing.resume(next.body(Effect.void))).toEqual([])
          expect(next.trace).toEqual([])
          expect(yield* old.Tracing.resume(old.body(Effect.void))).toMatchObject([{ id: "a", exit: { value: 10 } }])
        }))
      ))

    it.effect("is refused where its body goes another way than before", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { body, Tracing } = traced(place)
          const twice = (step: Steps.Step) =>
            Effect.zipRight(step("one", place.insert(7)), step("one", place.insert(8)))
          expect(yield* Effect.flip(Tracing.run("a", twice)))
            .toMatchObject({ _tag: "StepsDiverged", step: "one", reason: "Repeated" })
          expect(yield* place.stored).toEqual([7])
          const later = (step: Steps.Step) => Effect.zipRight(step("one", Effect.void), step("new", place.insert(4)))
          yield* Tracing.run("b", (step) => step("one", Effect.void))
          expect(yield* Effect.flip(Tracing.run("b", later)))
            .toMatchObject({ _tag: "StepsDiverged", step: "new", reason: "Ended" })
          expect(yield* place.stored).toEqual([7])
          yield* Effect.flip(Tracing.run("c", body(refused, new Unreachable())))
          const without = (step: Steps.Step) => step("end", Effect.void, { failure: OutOfStock })
          expect(yield* Effect.flip(Tracing.run("c", without)))
            .toMatchObject({ _tag: "StepsDiverged", step: "two", reason: "Missing" })
        }))
      ))

    it.effect("is refused where its body comes to another end than before", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { body, trace, Tracing } = traced(place)
          const diverged = { _tag: "StepsDiverged", step: "end", reason: "OtherEnd" }
          const ignoring = (step: Steps.Step) => Effect.ignore(body(refused)(step))
          yield* Tracing.run("a", ignoring)
          // It has succeeded, so that nothing is compensated.
          expect(yield* Effect.flip(Tracing.run("a", body(refused)))).toMatchObject(diverged)
          expect(trace).toEqual(["one", "two"])
          const undoing = body(refused, new Unreachable())
          yield* Effect.promise(() => place.client.driver.db(place.database).collection("items").deleteMany({}))
          yield* Effect.flip(Tracing.run("b", undoing))
          // It compensates, so that it does not succeed.
          expect(yield* Effect.flip(Tracing.run("b", ignoring))).toMatchObject(diverged)
        }))
      ))

    it.effect("is refused with all that is wrong, before anything is sent", () =>
      onKeys(({ database, sent }) =>
        Effect.gen(function*() {
          const paths = (error: object) =>
            "issues" in error
              ? (error.issues as ReadonlyArray<{ path: ReadonlyArray<string> }>).map(({ path }) => path.join("."))
              : error
          const Wrong = Steps.make("a/b", { database, version: 1.5, for: 0, timeToLive: -1 })
          const Right = Steps.make("right", { database, version: 1 })
          const names = yield* sent(Effect.gen(function*() {
            const error = yield* Effect.flip(Wrong.run("a", () => Effect.void))
            expect(paths(error)).toEqual(["name", "version", "timeToLive", "for"])
            expect(paths(yield* Effect.flip(Right.run("", () => Effect.void)))).toEqual(["id"])
          }))
          expect(names).toEqual([])
          const step = yield* Effect.flip(Right.run("a", (step) => step("a/b", Effect.void)))
          expect(paths(step)).toEqual(["step"])
          const inside = Effect.flip(Right.run("a", (step) => Transaction.run(step("a", Effect.void))))
          expect(yield* inside).toMatchObject({ _tag: "InvalidInTransaction", operation: "Steps.step" })
        })
      ))
  })
})
