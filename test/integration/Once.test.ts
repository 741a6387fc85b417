import * as OldSchema from "@effect/schema/Schema"
import { describe, expect, layer } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Label } from "../../src/MongoError.js"
import * as Once from "../../src/Once.js"
import { live } from "../../src/testing/internal/live.js"
import type * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import { numbers } from "../support/data/collections.js"
import { Keys, onKeys, OutOfStock } from "../support/once/keys.js"
import * as TestServer from "../support/server/testServer.js"

class Other extends Data.TaggedError("Other")<{}> {}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("an effect that is run once", () => {
    for (
      const [of, result] of [
        ["effect/Schema", Schema.Struct({ n: Schema.NumberFromString })],
        ["@effect/schema", OldSchema.Struct({ n: OldSchema.NumberFromString })]
      ] as const
    ) {
      it.effect(`runs for the first who comes with a key; the next has the same result (${of})`, () =>
        onKeys(({ database, insert, stored }) =>
          Effect.gen(function*() {
            const Doing = Once.make("doing", { database, result })
            let ran = 0
            const run = (n: number) =>
              Doing.run("key", Effect.as(Effect.tap(insert(n), () => Effect.sync(() => ran++)), { n }))
            expect(yield* run(1)).toEqual({ n: 1 })
            expect(yield* run(2)).toEqual({ n: 1 })
            expect(ran).toBe(1)
            expect(yield* stored).toEqual([1])
          })
        ))
    }

    it.effect("runs for each key, and for the same key under another name", () =>
      onKeys(({ database, insert, stored }) =>
        Effect.gen(function*() {
          const doing = (name: string) => Once.make(name, { database })
          yield* doing("one").run("a", insert(1))
          yield* doing("one").run("b", insert(2))
          yield* doing("two").run("a", insert(3))
          yield* doing("two").run("a", insert(4))
          expect(yield* stored).toEqual([1, 2, 3])
        })
      ))

    it.effect("takes two writes more than a transaction, one without a result; an answer takes one and the commit", () =>
      onKeys(({ database, insert, sent }) =>
        Effect.gen(function*() {
          const Doing = Once.make("doing", { database, result: Schema.Number })
          const Void = Once.make("void", { database })
          yield* Doing.run("first", Effect.succeed(0))
          yield* Void.run("first", Effect.void)
          expect(yield* sent(Transaction.run(insert(1)))).toEqual(["insert", "commitTransaction"])
          expect(yield* sent(Void.run("key", insert(2)))).toEqual(["findAndModify", "insert", "commitTransaction"])
          expect(yield* sent(Doing.run("key", Effect.as(insert(3), 3))))
            .toEqual(["findAndModify", "insert", "update", "commitTransaction"])
          expect(yield* sent(Doing.run("key", Effect.as(insert(4), 4)))).toEqual(["findAndModify", "commitTransaction"])
        })
      ))

    it.effect("has rolled back and stored what it has declared to fail with: who comes again fails so, too", () =>
      onKeys(({ database, insert, stored }) =>
        Effect.gen(function*() {
          const Doing = Once.make("doing", { database, result: Schema.Number, failure: OutOfStock })
          const failing = Effect.zipRight(insert(1), new OutOfStock({ item: "book" }))
          const first = yield* Effect.flip(Doing.run("key", failing))
          expect(first).toEqual(new OutOfStock({ item: "book" }))
          const again = yield* Effect.flip(Doing.run("key", Effect.as(insert(2), 2)))
          expect(again).toBeInstanceOf(OutOfStock)
          expect(again).toEqual(first)
          expect(yield* stored).toEqual([])
        })
      ))

    it.effect("keeps what it has written with a declared failure, where it is told to", () =>
      onKeys(({ database, insert, stored }) =>
        Effect.gen(function*() {
          const Doing = Once.make("doing", { database, failure: OutOfStock })
          const failing = Effect.zipRight(insert(1), new OutOfStock({ item: "book" }))
          const run = Effect.flip(Doing.run("key", failing, { keepWrites: true }))
          expect(yield* run).toEqual(new OutOfStock({ item: "book" }))
          expect(yield* run).toEqual(new OutOfStock({ item: "book" }))
          expect(yield* stored).toEqual([1])
        })
      ))

    it.effect("leaves the key free when it fails otherwise, dies or is interrupted", () =>
      onKeys(({ database, insert, keys, stored }) =>
        Effect.gen(function*() {
          const Doing = Once.make("doing", { database, failure: OutOfStock })
          for (const end of [new Other(), Effect.die("bug"), Effect.interrupt]) {
            expect(Exit.isFailure(yield* Effect.exit(Doing.run("key", Effect.zipRight(insert(1), end))))).toBe(true)
          }
          expect(yield* keys).toEqual([])
          expect(yield* stored).toEqual([])
          yield* Doing.run("key", insert(2))
          expect(yield* stored).toEqual([2])
        })
      ))

    it.effect("is refused under the key of a request with another fingerprint", () =>
      onKeys(({ database, insert, stored }) =>
        Effect.gen(function*() {
          const Doing = Once.make("doing", { database })
          yield* Doing.run("key", insert(1), { fingerprint: "a" })
          yield* Doing.run("key", insert(2), { fingerprint: "a" })
          const error = yield* Effect.flip(Doing.run("key", insert(3), { fingerprint: "b" }))
          expect(error).toMatchObject({ _tag: "KeyReused", once: "doing" })
          expect(yield* stored).toEqual([1])
        })
      ))

    it.effect("waits no longer for another run where one look at its key is too late", () =>
      onKeys(({ client, database, failing }) =>
        live(
          Effect.gen(function*() {
            const { driver } = client
            const Doing = Once.make("doing", { database, wait: "500 millis" })
            yield* Doing.run("other", Effect.void)
            yield* Effect.acquireRelease(
              Effect.promise(async () => {
                const session = driver.startSession()
                session.startTransaction()
                await driver.db(database).collection<{ _id: string }>("effect_mongo_session.once")
                  .insertOne({ _id: Keys.marked("doing", "key")._id }, { session })
                return session
              }),
              (session) => Effect.promise(() => session.endSession())
            )
            // All but the first, which finds the key taken.
            yield* failing({
              failCommands: ["findAndModify"],
              mode: { skip: 1 },
              errorCode: 50,
              errorLabels: [Label.TransientTransactionError]
            })
            const [time, error] = yield* Effect.timed(
              Effect.flip(Doing.run("key", Effect.void, { timeout: "10 seconds" }))
            )
            expect(error).toMatchObject({ _tag: "TransactionAborted", last: { reason: "TimedOut" } })
            expect(Duration.toMillis(time)).toBeLessThan(5000)
          }).pipe(Effect.scoped)
        )
      ))

    it.effect("waits for another run with the key and has its result, or fails when the wait is over", () =>
      onKeys(({ database, insert, stored }) =>
        live(Effect.gen(function*() {
          const begun = yield* Deferred.make<void>()
          const mayEnd = yield* Deferred.make<void>()
          const doing = (wait: Duration.DurationInput) => Once.make("doing", { database, result: Schema.Number, wait })
          const long = Effect.gen(function*() {
            yield* insert(1)
            yield* Deferred.succeed(begun, undefined)
            yield* Deferred.await(mayEnd)
            return 1
          })
          const other = Effect.as(insert(2), 2)
          const first = yield* Effect.fork(doing("1 minute").run("key", long))
          yield* Deferred.await(begun)
          const atOnce = yield* Effect.flip(doing(0).run("key", other))
          expect(atOnce).toMatchObject({ _tag: "InProgress", once: "doing" })
          const late = yield* Effect.flip(doing("100 millis").run("key", other))
          expect(late._tag === "InProgress" && Duration.toMillis(late.waited)).toBeGreaterThanOrEqual(100)
          const second = yield* Effect.fork(doing("1 minute").run("key", other))
          yield* Deferred.succeed(mayEnd, undefined)
          expect(yield* Fiber.join(second)).toBe(1)
          expect(yield* Fiber.join(first)).toBe(1)
          expect(yield* stored).toEqual([1])
        }))
      ))

    it.effect("is not in progress when it fails otherwise after it has found another run: that is told, and tried for longer", () =>
      onKeys(({ database, failing, insert, onOther, stored }) =>
        live(Effect.gen(function*() {
          const Doing = Once.make("doing", { database, wait: "150 millis" })
          const [begun, mayEnd] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
          const long = Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(mayEnd))
          const first = yield* Effect.fork(onOther(Doing.run("key", long)))
          yield* Deferred.await(begun)
          const context = yield* Effect.context<MongoServer.MongoServer | Scope.Scope>()
          const broken = failing({
            failCommands: ["findAndModify"],
            mode: "alwaysOn",
            errorCode: 246,
            errorLabels: [Label.TransientTransactionError]
          })
          let retries = 0
          const onRetry = () => Effect.orDie(Effect.provide(Effect.when(broken, () => ++retries === 1), context))
          const [time, error] = yield* Effect.timed(
            Effect.flip(Doing.run("key", insert(1), { onRetry, timeout: "1 second" }))
          )
          expect(error).toMatchObject({ _tag: "TransactionAborted" })
          expect(Duration.toMillis(time)).toBeGreaterThan(500)
          yield* Deferred.succeed(mayEnd, undefined)
          yield* Fiber.join(first)
          expect(yield* stored).toEqual([])
        }))
      ))

    it.effect("runs once for many who come at the same moment by several clients", () =>
      onKeys(({ database, insert, onOther, stored }) =>
        live(Effect.gen(function*() {
          const Doing = Once.make("doing", { database, result: Schema.Number, wait: "1 minute" })
          const run = (n: number) => Doing.run("key", Effect.as(insert(n), n))
          const results = yield* Effect.forEach(numbers(30), (n) => n % 2 === 0 ? run(n) : onOther(run(n)), {
            concurrency: "unbounded"
          })
          expect(new Set(results).size).toBe(1)
          expect(yield* stored).toEqual([results[0]])
        }))
      ))

    it.effect("refuses a result of more than a document may have, and writes nothing", () =>
      onKeys(({ database, insert, keys, stored }) =>
        Effect.gen(function*() {
          const Doing = Once.make("doing", { database, result: Schema.String })
          const error = yield* Effect.flip(Doing.run("key", Effect.as(insert(1), "a".repeat(2 ** 24))))
          expect(error).toMatchObject({ _tag: "MongoError", reason: "DocumentTooLarge", operation: "Once.run" })
          expect(yield* stored).toEqual([])
          expect(yield* keys).toEqual([])
        })
      ))

    it.effect("is refused with all that is wrong, before anything is sent", () =>
      onKeys(({ database, insert, sent }) =>
        Effect.gen(function*() {
          const Wrong = Once.make("a/b", { database, timeToLive: -1, wait: Duration.infinity })
          const Right = Once.make("right", { database })
          const given = { fingerprint: "", writeConcern: 1 }
          const names = (error: unknown) =>
            error instanceof Object && "issues" in error
              ? (error.issues as ReadonlyArray<{ path: ReadonlyArray<string> }>).map(({ path }) => path.join("."))
              : error
          yield* Effect.gen(function*() {
            expect(names(yield* Effect.flip(Wrong.run("key", insert(1))))).toEqual(["name", "timeToLive", "wait"])
            const error = yield* Effect.flip(Right.run("", insert(1), given))
            expect(names(error)).toEqual(["key", "fingerprint", "writeConcern"])
          }).pipe(sent, Effect.map((commands) => expect(commands).toEqual([])))
        })
      ))
  })
})
