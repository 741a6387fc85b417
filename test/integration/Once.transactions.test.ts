import { describe, expect, layer } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { Label } from "../../src/MongoError.js"
import * as Once from "../../src/Once.js"
import * as Session from "../../src/Session.js"
import { live } from "../../src/testing/internal/live.js"
import * as Transaction from "../../src/Transaction.js"
import { onKeys, OutOfStock } from "../support/once/keys.js"
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"

class Other extends Data.TaggedError("Other")<{}> {}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("what is run once inside a transaction", () => {
    it.effect("is committed with it, or not at all", () =>
      onKeys(({ database, insert, keys, stored }) =>
        Effect.gen(function*() {
          const Doing = Once.make("doing", { database, result: Schema.Number })
          const run = (n: number) => Doing.run("key", Effect.as(insert(n), n))
          yield* Effect.flip(Transaction.run(Effect.zipRight(run(1), new Other())))
          expect(yield* keys).toEqual([])
          expect(yield* stored).toEqual([])
          expect(yield* Transaction.run(Effect.zipRight(insert(2), run(3)))).toBe(3)
          expect(yield* Transaction.run(Effect.zipRight(insert(4), run(5)))).toBe(3)
          expect(yield* stored).toEqual([2, 3, 4])
        })
      ))

    it.effect("has its result there already, before anything is committed", () =>
      onKeys(({ database, insert, stored }) =>
        Effect.gen(function*() {
          const Doing = Once.make("doing", { database, result: Schema.Number })
          const run = (n: number) => Doing.run("key", Effect.as(insert(n), n))
          expect(yield* Transaction.run(Effect.all([run(1), run(2)]))).toEqual([1, 1])
          expect(yield* stored).toEqual([1])
        })
      ))

    it.effect("is in progress within itself", () =>
      onKeys(({ database, insert, stored }) =>
        Effect.gen(function*() {
          const Doing = Once.make("doing", { database, result: Schema.Number })
          const inner = Doing.run("key", Effect.as(insert(1), 1))
          expect(yield* Effect.flip(Doing.run("key", inner))).toMatchObject({ _tag: "InProgress" })
          expect(yield* stored).toEqual([])
        })
      ))

    it.effect("is in progress within itself without a result, too, and done for who comes after it", () =>
      onKeys(({ database, insert, keys, stored }) =>
        Effect.gen(function*() {
          const run = <E, R>(effect: Effect.Effect<void, E, R>) => Once.make("doing", { database }).run("key", effect)
          expect(yield* Effect.flip(run(run(insert(1))))).toMatchObject({ _tag: "InProgress" })
          expect(yield* keys).toEqual([])
          yield* Transaction.run(Effect.zipRight(run(insert(2)), run(insert(3))))
          expect(yield* stored).toEqual([2])
        })
      ))

    it.effect("dooms nothing where it has written nothing, for what is stored under its key", () =>
      onKeys(({ database, insert, keys, stored }) =>
        Effect.gen(function*() {
          const Doing = Once.make("doing", { database, result: Schema.Number })
          const Texts = Once.make("doing", { database, result: Schema.String })
          yield* Doing.run("key", Effect.succeed(1), { fingerprint: "first" })
          const tagOf = <A, E extends { readonly _tag: string }, R>(run: Effect.Effect<A, E, R>) =>
            Effect.map(Effect.flip(run), ({ _tag }) => _tag)
          const body = Effect.gen(function*() {
            const reused = yield* tagOf(Doing.run("key", Effect.as(insert(1), 1), { fingerprint: "second" }))
            const undecodable = yield* tagOf(Texts.run("key", Effect.as(insert(2), "two")))
            const within = tagOf(Doing.run("own", Effect.as(insert(3), 3)))
            expect(yield* Doing.run("own", Effect.as(within, 3))).toBe(3)
            yield* insert(4)
            return [reused, undecodable]
          })
          expect(yield* Transaction.run(body)).toEqual(["KeyReused", "DecodeFailed"])
          expect(yield* stored).toEqual([4])
          expect(yield* keys).toHaveLength(2)
        })
      ))

    it.effect("is not run when another has done it since the transaction has first read", () =>
      onKeys(({ client, database, insert, onOther, stored }) =>
        live(Effect.gen(function*() {
          const Doing = Once.make("doing", { database, result: Schema.Number })
          const run = (n: number) => Doing.run("key", Effect.as(insert(n), n))
          const reading = Session.use((session) =>
            client.driver.db(database).collection("items").countDocuments({}, { session })
          )
          yield* insert(0).pipe(Session.scoped())
          const counts: Array<number> = []
          const body = Effect.gen(function*() {
            const seen = yield* reading
            counts.push(seen)
            yield* Transaction.outside(onOther(run(1)))
            return yield* run(2)
          })
          expect(yield* Transaction.run(body, { readConcern: "snapshot" })).toBe(1)
          expect(counts).toEqual([1, 2])
          expect(yield* stored).toEqual([0, 1])
        }))
      ))

    it.effect("stores a declared failure only with what it has written", () =>
      onKeys(({ database, insert, keys, stored }) =>
        Effect.gen(function*() {
          const Doing = Once.make("doing", { database, failure: OutOfStock })
          const run = (options?: Once.RunOptions) =>
            Doing.run("key", Effect.zipRight(insert(1), new OutOfStock({ item: "book" })), options)
          const rolledBack = yield* Effect.flip(Transaction.run(run()))
          expect(rolledBack).toEqual(new OutOfStock({ item: "book" }))
          expect(yield* keys).toEqual([])
          const kept = Effect.either(run({ keepWrites: true }))
          expect(yield* Transaction.run(kept)).toMatchObject({ left: { item: "book" } })
          expect(yield* Transaction.run(kept)).toMatchObject({ left: { item: "book" } })
          expect(yield* stored).toEqual([1])
        })
      ))

    it.effect("does not join one that is committed with less than a majority", () =>
      onKeys(({ database }) =>
        Effect.gen(function*() {
          const run = Once.make("doing", { database }).run("key", Effect.void)
          const error = yield* Effect.flip(Transaction.run(run, { writeConcern: 1 }))
          expect(error).toMatchObject({ _tag: "IncompatibleJoin", options: ["writeConcern"] })
        })
      ))

    const kinds: Record<string, (database: string) => Once.Once<void>> = {
      "with a result": (database) => Once.make("doing", { database, result: Schema.Void }),
      "without one": (database) => Once.make("doing", { database })
    }

    for (const [kind, doing] of Object.entries(kinds)) {
      it.effect(`fails when its effect aborts the transaction by hand (${kind})`, () =>
        onKeys(({ database, insert, keys, stored }) =>
          Effect.gen(function*() {
            const run = doing(database).run("key", Effect.zipRight(insert(1), Transaction.abort))
            const error = yield* logged(() => Effect.flip(run))
            expect(error).toMatchObject({ _tag: "TransactionEnded", operation: "Once.run" })
            expect(yield* keys).toEqual([])
            expect(yield* stored).toEqual([])
          })
        ))

      it.effect(`fails when its effect begins another one after that, and writes nothing (${kind})`, () =>
        onKeys(({ database, insert, keys, stored }) =>
          Effect.gen(function*() {
            const effect = Effect.all([insert(1), Transaction.abort, Transaction.start(), insert(2)], { discard: true })
            const error = yield* logged(() => Effect.flip(doing(database).run("key", effect)))
            expect(error).toMatchObject({ _tag: "TransactionEnded", operation: "Once.run" })
            expect(yield* keys).toEqual([])
            expect(yield* stored).toEqual([])
          })
        ))

      for (
        const [when, asking] of [
          ["", Transaction.rollbackOnly],
          [" before the commit", Transaction.beforeCommit(Transaction.rollbackOnly)]
        ] as const
      ) {
        it.effect(`fails when its effect asks for a rollback${when}, and may run again (${kind})`, () =>
          onKeys(({ database, insert, keys, stored }) =>
            Effect.gen(function*() {
              const Doing = doing(database)
              const error = yield* Effect.flip(Doing.run("key", Effect.zipRight(insert(1), asking)))
              expect(error).toMatchObject({ _tag: "TransactionDoomed", isRollbackOnly: true })
              expect(yield* keys).toEqual([])
              yield* Doing.run("key", insert(2))
              expect(yield* stored).toEqual([2])
            })
          ))
      }

      it.effect(`leaves a rollback to the transaction around it, with which the key is not stored (${kind})`, () =>
        onKeys(({ database, insert, keys, stored }) =>
          Effect.gen(function*() {
            const run = doing(database).run("key", Effect.zipRight(insert(1), Transaction.rollbackOnly))
            expect(yield* Transaction.run(Effect.as(run, "rolled back"))).toBe("rolled back")
            expect((yield* Transaction.sandbox(Effect.as(run, "tried"))).value).toBe("tried")
            expect(yield* keys).toEqual([])
            expect(yield* stored).toEqual([])
          })
        ))
    }

    it.effect("has not failed as declared where nothing is stored, for its effect has asked for a rollback", () =>
      onKeys(({ database, insert, keys }) =>
        Effect.gen(function*() {
          const effect = Effect.all([insert(1), Transaction.rollbackOnly, new OutOfStock({ item: "book" })])
          const run = Once.make("doing", { database, failure: OutOfStock }).run("key", Effect.asVoid(effect), {
            keepWrites: true
          })
          expect(yield* Effect.flip(run)).toMatchObject({ _tag: "TransactionDoomed", isRollbackOnly: true })
          expect(yield* keys).toEqual([])
        })
      ))
  })

  describe("a commit of what is run once", () => {
    const Doing = (database: string) => Once.make("doing", { database, result: Schema.Number })

    it.effect("that has happened, though its answer is lost, is settled by the key", () =>
      onKeys(({ database, failing, insert, monitor, stored }) =>
        Effect.gen(function*() {
          yield* Doing(database).run("other", Effect.succeed(0))
          yield* failing({ failCommands: ["commitTransaction"], writeConcernError: { code: 79, errmsg: "lost" } })
          yield* monitor.clear
          expect(yield* Doing(database).run("key", Effect.as(insert(1), 1))).toBe(1)
          const found = yield* monitor.named("find")
          expect(found.map(({ command }) => command["readConcern"])).toEqual([{ level: "majority" }])
          expect(yield* stored).toEqual([1])
        })
      ))

    it.effect("that has not happened is found out by the key, and the effect runs again", () =>
      onKeys(({ database, failing, insert, stored }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["commitTransaction"], errorCode: 50 })
          let ran = 0
          const effect = Effect.suspend(() => Effect.as(insert(++ran), ran))
          expect(yield* Doing(database).run("key", effect)).toBe(2)
          expect(yield* stored).toEqual([2])
        })
      ))

    it.effect(
      "that stays unknown may be run again with the key",
      () =>
        onKeys(({ database, failing, insert, stored }) =>
          live(Effect.gen(function*() {
            const run = (n: number) =>
              Once.make("doing", { database, result: Schema.Number, wait: "2 minutes" }).run(
                "key",
                Effect.as(insert(n), n)
              )
            yield* Doing(database).run("other", Effect.succeed(0))
            const error = yield* Effect.scoped(Effect.gen(function*() {
              const failCommands = ["commitTransaction", "abortTransaction", "find"]
              yield* failing({ failCommands, mode: "alwaysOn", errorCode: 50 })
              return yield* logged(() => Effect.flip(run(1)))
            }))
            expect(error).toMatchObject({ _tag: "CommitUnknown", isRepeatable: true })
            expect((error as { readonly hint: string }).hint).toContain("Run it again with the same key")
            const result = yield* run(2)
            expect(yield* stored).toEqual([result])
          }))
        ),
      180_000
    )

    it.effect("that is refused for a write conflict runs the effect again, as in any transaction", () =>
      onKeys(({ database, failing, insert, stored }) =>
        Effect.gen(function*() {
          yield* failing({
            failCommands: ["commitTransaction"],
            errorCode: 112,
            errorLabels: [Label.TransientTransactionError]
          })
          let ran = 0
          const effect = Effect.suspend(() => Effect.as(insert(++ran), ran))
          const run = Doing(database).run("key", effect, { retry: Schedule.recurs(1) })
          expect(yield* run).toBe(2)
          expect(yield* stored).toEqual([2])
        })
      ))
  })
})
