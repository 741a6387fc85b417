import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/TestClock"
import { lineOf } from "../../inspect/src/failures.js"
import type { Snapshot } from "../../inspect/src/model.js"
import { type Output, Unwritable, write } from "../../inspect/src/output.js"
import { live, plain } from "../../inspect/src/screen.js"
import { width } from "../../inspect/src/table.js"
import { asJson, asPicture } from "../../inspect/src/views.js"
import { watch } from "../../inspect/src/watch.js"
import { MongoError } from "../../src/MongoError.js"
import { nothing } from "../support/inspect/snapshots.js"

const second = Duration.seconds(1)

/** An output whose reader takes so many texts, and what happens to the one after these. */
const reader = (takes: number, then: (done: (error: Error) => void) => void = () => undefined) => {
  const written: Array<string> = []
  const output: Output = {
    write: (text, done) => {
      written.push(text)
      if (written.length <= takes) done()
      else then(done)
    }
  }
  return { output, written }
}

const failing = (code: string) => (done: (error: Error) => void) => done(Object.assign(new Error("write"), { code }))

describe("watching", () => {
  it.effect("looks as often as asked while somebody reads", () =>
    Effect.gen(function*() {
      const { output, written } = reader(Infinity)
      const fiber = yield* Effect.fork(watch(() => Effect.succeed(nothing), asJson(output), second))
      yield* TestClock.adjust("10 seconds")
      expect(written).toHaveLength(11)
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("neither looks nor writes ahead of a reader that does not read, and can be interrupted then", () =>
    Effect.gen(function*() {
      const { output, written } = reader(3)
      const looks = yield* Ref.make(0)
      const look = () => Effect.as(Ref.update(looks, (count) => count + 1), nothing)
      const fiber = yield* Effect.fork(watch(look, asJson(output), second))
      yield* TestClock.adjust("1 hour")
      expect(written).toHaveLength(4)
      expect(yield* Ref.get(looks)).toBe(4)
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
    }))

  it.effect.each(["EPIPE", "ECONNRESET", "ERR_STREAM_DESTROYED"])(
    "ends when its reader has gone (%s)",
    (code) =>
      Effect.gen(function*() {
        for (const view of [asJson, (output: Output) => asPicture(plain(output, false))]) {
          const { output, written } = reader(1, failing(code))
          const fiber = yield* Effect.fork(watch(() => Effect.succeed(nothing), view(output), second))
          yield* TestClock.adjust("1 minute")
          expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "Unwritable", isUnread: true })
          expect(written).toHaveLength(2)
        }
      })
  )

  it.effect("a disk that is full is no reader that has gone, and is told", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(write(reader(0, failing("ENOSPC")).output, "text"))
      expect(error).toBeInstanceOf(Unwritable)
      expect(error).toMatchObject({ isUnread: false, message: "the output cannot be written (ENOSPC)" })
    }))

  it.effect("goes on where a look has no answer, but not where the first one has none", () =>
    Effect.gen(function*() {
      const broken = new MongoError({ reason: "NetworkError", operation: "command", labels: [] })
      const { output, written } = reader(Infinity)
      const answers = yield* Ref.make<ReadonlyArray<Effect.Effect<Snapshot, MongoError>>>([
        Effect.succeed(nothing),
        Effect.fail(broken)
      ])
      const look = () =>
        Effect.flatten(Ref.modify(answers, ([next = Effect.succeed(nothing), ...others]) => [next, others]))
      const fiber = yield* Effect.fork(watch(look, asJson(output), second))
      yield* TestClock.adjust("2 seconds")
      expect(written.map((line) => JSON.parse(line))).toEqual([
        nothing,
        { at: "1970-01-01T00:00:01.000Z", error: broken.message },
        nothing
      ])
      yield* Fiber.interrupt(fiber)
      expect(yield* Effect.flip(watch(() => Effect.fail(broken), asJson(output), second))).toBe(broken)
    }))

  it.scoped("a look without an answer leaves the last picture in sight, and fits the terminal whatever its error names", () =>
    Effect.gen(function*() {
      const namespace = `${"\u001b[2J\u009b31m\u202e日本".repeat(9)}.orders`
      const broken = new MongoError({ reason: "NetworkError", operation: "listCollections", namespace, labels: [] })
      const { output, written } = reader(Infinity)
      const view = asPicture(yield* live({ ...output, isTTY: true, columns: 40, rows: 10 }, false))
      const fiber = yield* Effect.fork(
        watch((before) => before ? Effect.fail(broken) : Effect.succeed(nothing), view, second)
      )
      yield* TestClock.adjust("1 second")
      const lines = (written.at(-1) ?? "").slice("\u001b[H".length).split("\u001b[K").slice(0, -1)
        .map((line) => line.trim())
      expect(lines[0]).toMatch(/^1970-01-01T00:00:01Z {2}no answer: listCo…$/)
      expect(lines[1]).toMatch(/^localhost:27017 /)
      for (const line of lines) {
        expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u)
        expect(width(line)).toBeLessThanOrEqual(40)
      }
      const failure = asJson(output).unanswered({ at: nothing.at, error: lineOf(broken) }, nothing)
      yield* failure
      expect(JSON.parse(written.at(-1) ?? "").error).not.toMatch(/[\p{Cc}\p{Cf}]/u)
      yield* Fiber.interrupt(fiber)
    }))
})
