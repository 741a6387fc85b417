import { describe, expect, layer } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as Once from "../../src/Once.js"
import * as Session from "../../src/Session.js"
import * as Steps from "../../src/Steps.js"
import { live } from "../../src/testing/internal/live.js"
import * as Transaction from "../../src/Transaction.js"
import { onKeys, OutOfStock, type Place } from "../support/once/keys.js"
import * as TestServer from "../support/server/testServer.js"

class Unreachable extends Data.TaggedError("Unreachable")<{}> {}

const refused = new OutOfStock({ item: "book" })

/** Whatever has a tag fits. */
const Tagged = Schema.Struct({ _tag: Schema.String })

const workflows = ({ client, database }: Place) =>
  client.driver.db(database).collection<{ _id: string; state?: string }>("effect_mongo_session.steps")

const failing = ({ database }: Place) => Steps.make("failing", { database, version: 1 })

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a step that fails", () => {
    it.effect("as declared is not written down once another process has taken the workflow up", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          // As if the process had been frozen after the rollback.
          const taken = Effect.promise(() =>
            workflows(place).updateOne({ _id: "failing/a" }, { $set: { holder: "another", token: 7 } })
          )
          const body = (step: Steps.Step) =>
            step("one", Effect.zipRight(Transaction.onRollback(taken), refused), { failure: OutOfStock })
          expect(yield* Effect.flip(failing(place).run("a", body)))
            .toMatchObject({ _tag: "LeaseLost", reason: "NotHeld" })
          expect(yield* place.keys).toEqual([])
        }))
      ))

    it.effect("with an error of the library has not failed for good, however broad its schema is", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const undone: Array<string> = []
          const body = (n: number) => (step: Steps.Step) =>
            Effect.gen(function*() {
              yield* step("one", Effect.void, { compensate: () => Effect.sync(() => void undone.push("one")) })
              yield* step("two", place.insert(n), { failure: Tagged })
            })
          yield* Effect.promise(() =>
            place.client.driver.db(place.database).collection<{ _id: number }>("items").insertOne({ _id: 1 })
          )
          expect(yield* Effect.flip(failing(place).run("a", body(1))))
            .toMatchObject({ _tag: "MongoError", reason: "DuplicateKey" })
          yield* failing(place).run("a", body(2))
          expect(yield* place.stored).toEqual([1, 2])
          expect(undone).toEqual([])
        }))
      ))

    it.effect("for its effect has asked for a rollback is not done", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { run } = failing(place)
          const undone = run("a", (step) => step("one", Effect.zipRight(place.insert(1), Transaction.rollbackOnly)))
          expect(yield* Effect.flip(undone)).toMatchObject({ _tag: "TransactionDoomed", isRollbackOnly: true })
          expect(yield* place.keys).toEqual([])
          yield* run("a", (step) => step("one", place.insert(2)))
          expect(yield* place.stored).toEqual([2])
        }))
      ))

    it.effect("as nobody has declared may be run again in the same body, and one that is stored may not", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          let runs = 0
          const flaky = Effect.zipRight(
            Effect.suspend(() => ++runs < 3 ? new Unreachable() : Effect.void),
            Effect.suspend(() => Effect.as(place.insert(runs), runs))
          )
          const again = yield* failing(place).run("a", (step) =>
            Effect.gen(function*() {
              yield* Effect.ignore(Effect.timeout(step("hung", Effect.never), "50 millis"))
              yield* step("hung", Effect.void)
              return yield* Effect.retry(step("flaky", flaky, { result: Schema.Number }), { times: 2 })
            }))
          expect(again).toBe(3)
          expect(yield* place.stored).toEqual([3])
          const stored = failing(place).run("b", (step) =>
            Effect.retry(step("one", refused, { failure: OutOfStock }), { times: 1 }))
          expect(yield* Effect.flip(stored)).toMatchObject({ _tag: "StepsDiverged", step: "one", reason: "Repeated" })
        }))
      ))
  })

  describe("a step that fails with what another one has stored", () => {
    const both = (step: Steps.Step) =>
      Effect.zipRight(
        Effect.ignore(step("one", refused, { failure: OutOfStock })),
        step("two", Effect.suspend(() => isOver ? Effect.void : refused))
      )
    let isOver = false

    it.effect("without a declaration of its own, may be run again, and leaves the workflow unfinished", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          isOver = false
          expect(yield* Effect.flip(failing(place).run("a", both))).toEqual(refused)
          const twice = failing(place).run("b", (step) =>
            Effect.zipRight(
              Effect.ignore(step("one", refused, { failure: OutOfStock })),
              Effect.retry(step("two", refused), { times: 1 })
            ))
          expect(yield* Effect.flip(twice)).toEqual(refused)
          isOver = true
          yield* failing(place).run("a", both)
        }))
      ))
  })

  describe("a step in a transaction under manual control", () => {
    it.effect("is refused, for it would not be done when the body goes on", () =>
      onKeys((place) =>
        live(Session.scoped(Effect.gen(function*() {
          const error = yield* Effect.flip(
            failing(place).run("a", (step) => Effect.zipRight(Transaction.start(), step("one", Effect.void)))
          )
          expect(error).toMatchObject({ _tag: "InvalidInTransaction", operation: "Steps.step" })
          expect(yield* Effect.flip(failing(place).resume(() => Effect.void)))
            .toMatchObject({ _tag: "InvalidInTransaction", operation: "Steps.resume" })
          yield* Transaction.abort
        })))
      ))
  })

  describe("a compensation", () => {
    it.effect("of a step that had no session runs in none", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const sessions: Array<boolean> = []
          const note = Effect.map(
            Effect.serviceOption(Session.Session),
            (session) => void sessions.push(Option.isSome(session))
          )
          const run = failing(place).run("a", (step) =>
            Effect.zipRight(
              Session.detached(step("one", Effect.void, { compensate: () => note })),
              step("end", refused, { failure: OutOfStock })
            ))
          expect(yield* Session.scoped(Effect.flip(run))).toEqual(refused)
          expect(sessions).toEqual([false])
        }))
      ))

    it.effect("of a step that had a session runs in one of its own after that has ended", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const run = failing(place).run("a", (step) =>
            Effect.zipRight(
              Session.scoped(step("one", place.insert(1), { compensate: () => place.insert(5) })),
              step("end", refused, { failure: OutOfStock })
            ))
          expect(yield* Effect.flip(run)).toEqual(refused)
          expect(yield* place.stored).toEqual([1, 5])
        }))
      ))

    it.effect("runs in the session that the workflow runs in", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const ids: Array<string> = []
          const note = Effect.map(Session.Session, ({ id }) => void ids.push(id.uuid))
          const run = failing(place).run("a", (step) =>
            Effect.zipRight(
              Session.scoped(step("one", note, { compensate: () => note })),
              step("end", refused, { failure: OutOfStock })
            ))
          yield* Session.scoped(Effect.zipRight(note, Effect.flip(run)))
          expect(ids).toHaveLength(3)
          expect(ids[2]).toBe(ids[0])
          expect(ids[1]).not.toBe(ids[0])
        }))
      ))

    it.effect("that can't be noted, for the workflow has come to another end, stops the others", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const undone: Array<string> = []
          const ended = Effect.promise(() =>
            workflows(place).updateOne({ _id: "failing/a" }, { $set: { state: "succeeded" } })
          )
          const run = failing(place).run("a", (step) =>
            Effect.gen(function*() {
              yield* step("one", Effect.void, { compensate: () => Effect.sync(() => void undone.push("one")) })
              yield* step("two", Effect.void, {
                compensate: () => Effect.zipRight(ended, Effect.sync(() => void undone.push("two")))
              })
              yield* step("end", refused, { failure: OutOfStock })
            }))
          const error = yield* Effect.flip(run)
          expect(error).toMatchObject({ _tag: "StepsDiverged", reason: "OtherEnd" })
          expect(String(error)).toContain("failing: the body has come to another end than before, after step end")
          expect(undone).toEqual(["two"])
        }))
      ))
  })

  describe("the keys of steps", () => {
    it.effect("are none of a Once of the same name", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { database } = place
          yield* Once.make("failing", { database }).run("a/one", place.insert(1))
          yield* failing(place).run("a", (step) => step("one", place.insert(2)))
          expect(yield* place.stored).toEqual([1, 2])
        }))
      ))

    it.effect("are none of workflows of the same name in another collection", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { database, insert, stored } = place
          const mine = { database, version: 1, collection: "mine" }
          yield* failing(place).run("a", (step) => step("one", insert(1)))
          yield* Steps.make("failing", mine).run("a", (step) => step("one", insert(2)))
          expect(yield* stored).toEqual([1, 2])
          expect(yield* place.keys).toHaveLength(1)
          const named = Steps.make("failing", { ...mine, collection: "theirs", onceCollection: "mine.once" })
          yield* named.run("a", (step) => step("one", insert(3)))
          expect(yield* stored).toEqual([1, 2])
        }))
      ))

    it.effect("are refused before anything is sent where they are too long with the names around them", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const paths = (error: object) =>
            "issues" in error
              ? (error.issues as ReadonlyArray<{ path: ReadonlyArray<string> }>).map(({ path }) => path.join("."))
              : error
          const { run } = failing(place)
          const longest = "i".repeat(1024 - "failing/".length)
          const names = yield* place.sent(Effect.gen(function*() {
            expect(paths(yield* Effect.flip(run(`${longest}i`, () => Effect.void)))).toEqual(["id"])
          }))
          expect(names).toEqual([])
          const step = "s".repeat(1024 - longest.length - 1)
          yield* run(longest, (run) =>
            Effect.gen(function*() {
              const sent = yield* place.sent(Effect.gen(function*() {
                expect(paths(yield* Effect.flip(run(`${step}s`, Effect.void)))).toEqual(["step"])
              }))
              expect(sent).toEqual([])
              yield* run(step, place.insert(1))
            }))
          expect(yield* place.stored).toEqual([1])
        }))
      ))
  })

  it.effect("a workflow in a collection of one's choice is no change for those who watch the database", () =>
    onKeys((place) =>
      live(Effect.gen(function*() {
        const { database } = place
        const Own = Collection.make("workflows", { database })
        const watching = yield* Database.make(database).watch().pipe(Stream.take(1), Stream.runCollect, Effect.fork)
        yield* place.monitor.awaitStarted("getMore")
        const { run } = Steps.make("failing", { database, version: 1, collection: "workflows" })
        yield* run("a", (step) => step("one", Effect.void, { compensate: () => Effect.void }))
        yield* Own.insertOne({ _id: "mine" })
        const [first] = yield* Fiber.join(watching)
        expect(first).toMatchObject({ documentKey: { _id: "mine" } })
      }))
    ))
})
