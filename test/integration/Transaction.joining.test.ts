import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Session from "../../src/Session.js"
import type { UseError } from "../../src/SessionErrors.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import type { TransactionOptions } from "../../src/TransactionOptions.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace } from "../support/transactions/transactions.js"
import * as Monitor from "../support/watch/monitor.js"

/** A part that joins does nothing but to say whether it was let in. */
const joins = (options: TransactionOptions) =>
  Transaction.run(Effect.succeed("joined"), options).pipe(
    Effect.catchTag("IncompatibleJoin", (error) => Effect.succeed(error.options))
  )

const started: TransactionOptions = {
  readConcern: "majority",
  writeConcern: { w: "majority", journal: true, wtimeout: "5 seconds" },
  readPreference: "primary",
  maxCommitTime: "3 seconds",
  timeout: "1 minute"
}

const others: ReadonlyArray<readonly [name: keyof TransactionOptions, other: TransactionOptions]> = [
  ["readConcern", { readConcern: "snapshot" }],
  ["writeConcern", { writeConcern: "twoRegions" }],
  ["readPreference", { readPreference: "nearest" }],
  ["maxCommitTime", { maxCommitTime: "3 minutes" }]
]

const equals: ReadonlyArray<readonly [what: string, options: TransactionOptions]> = [
  ["none", {}],
  ["the same", started],
  ["each in its longer form", {
    readConcern: { level: "majority" },
    writeConcern: { journal: true, wtimeout: 5000, w: "majority" },
    readPreference: { mode: "primary" }
  }],
  ["times in another unit", { maxCommitTime: Duration.millis(3000), timeout: "60 seconds" }],
  ["one that is not set", { readConcern: undefined, timeout: undefined }]
]

/** The server's URL with further parameters. */
const withUrl = (parameters: string) =>
  Effect.map(MongoServer.MongoServer, ({ url }) => {
    const path = /^[^/]+\/\/[^/?]+$/.test(url) ? `${url}/` : url
    return { url: Redacted.make(`${path}${url.includes("?") ? "&" : "?"}${parameters}`) }
  })

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a part that asks for more than the transaction gives is refused, and names it", () => {
    for (const [name, options] of others) {
      it.effect(`${name}; nothing is sent, and the transaction goes on`, () =>
        inPlace((place) =>
          Effect.gen(function*() {
            const refused = Effect.flip(Transaction.run(place.insert(6), options))
            const failure = yield* Transaction.run(Effect.zipLeft(refused, place.insert(5)), started)
            expect(failure).toMatchObject({ _tag: "IncompatibleJoin", options: [name] })
            expect(yield* place.stored).toEqual([5])
          })
        ))
    }

    it.effect("all of them at once", () =>
      inPlace(() =>
        Effect.gen(function*() {
          const all: TransactionOptions = Object.assign({}, ...others.map(([, options]) => options))
          expect(yield* Transaction.run(joins(all), started)).toEqual(others.map(([name]) => name))
        })
      ))

    it.effect("those that the transaction has from its session, or leaves at their defaults", () =>
      inPlace(() =>
        Effect.gen(function*() {
          const defaults: TransactionOptions = { readConcern: "majority", maxCommitTime: "2 seconds" }
          const looks = Effect.all([
            joins({ readConcern: "snapshot" }),
            joins({ maxCommitTime: "1 second" }),
            joins({ readPreference: "secondary" })
          ])
          expect(yield* Session.scoped(Transaction.run(looks), { defaultTransactionOptions: defaults })).toEqual([
            ["readConcern"],
            ["maxCommitTime"],
            ["readPreference"]
          ])
        })
      ))

    it.effect("those that it has from the client", () =>
      Effect.flatMap(
        withUrl("w=1&readConcernLevel=majority"),
        (options) =>
          inPlace(() =>
            Effect.gen(function*() {
              const looks = Effect.all([joins({ writeConcern: "majority" }), joins({ readConcern: "snapshot" })])
              expect(yield* Transaction.run(looks)).toEqual([["writeConcern"], ["readConcern"]])
            }), options)
      ))
  })

  describe("services that are written apart", () => {
    const service = (insert: Effect.Effect<void, UseError, Session.Session>) =>
      Transaction.run(insert, { timeout: "5 seconds", writeConcern: "majority" })

    it.effect("compose: in a plain transaction, which takes on the write concern of its part", () =>
      inPlace(({ insert, monitor, stored }) =>
        Effect.gen(function*() {
          yield* Transaction.run(Effect.zipRight(service(insert(1)), insert(2)))
          const [commit] = yield* monitor.named("commitTransaction")
          expect(commit?.command["writeConcern"]).toMatchObject({ w: "majority" })
          expect(yield* stored).toEqual([1, 2])
        })
      ))

    it.effect("compose: in one with another time limit, and in a sandbox", () =>
      inPlace(({ insert, stored }) =>
        Effect.gen(function*() {
          yield* Transaction.run(service(insert(1)), { timeout: "30 seconds" })
          yield* Transaction.sandbox(service(insert(2)))
          yield* Transaction.sandbox(service(insert(3)), { writeConcern: 1 })
          expect(yield* stored).toEqual([1])
        })
      ))

    it.effect("keep to their own time limit, and to what the transaction has left", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { insert } = place
          yield* Monitor.block(place, ["insert"], "2 seconds")
          for (const [part, whole] of [["200 millis", "1 minute"], ["1 minute", "200 millis"]] as const) {
            const [time, error] = yield* Effect.timed(
              Effect.flip(Transaction.run(Transaction.run(insert(1), { timeout: part }), { timeout: whole }))
            )
            expect(error).toMatchObject({ _tag: "MongoError", reason: "TimedOut" })
            expect(Duration.toMillis(time)).toBeLessThan(1900)
          }
        })
      ))
  })

  describe("a part that joins with equal options is let in", () => {
    for (const [what, options] of equals) {
      it.effect(what, () =>
        inPlace(() =>
          Effect.gen(function*() {
            expect(yield* Transaction.run(joins(options), started)).toBe("joined")
          })
        ))
    }

    it.effect("those that the transaction has from its session, or leaves at their defaults", () =>
      inPlace(() =>
        Effect.gen(function*() {
          const defaults: TransactionOptions = { readConcern: "snapshot", writeConcern: 1 }
          const part = joins({ ...defaults, readPreference: "primary", timeout: "2 minutes" })
          expect(yield* Session.scoped(Transaction.run(part), { defaultTransactionOptions: defaults })).toBe("joined")
        })
      ))

    it.effect("those that it has from the client", () =>
      Effect.flatMap(
        withUrl("w=majority&journal=true&wtimeoutMS=4000&readConcernLevel=majority"),
        (options) =>
          inPlace(() =>
            Effect.gen(function*() {
              const part = joins({
                writeConcern: { w: "majority", journal: true, wtimeout: "4 seconds" },
                readConcern: "majority"
              })
              expect(yield* Transaction.run(part)).toBe("joined")
              expect(yield* Session.scoped(Effect.zipRight(Transaction.start(), part))).toBe("joined")
            }), options)
      ))

    it.effect("whatever its retry, session and hooks of retries are, for those mean nothing to it", () =>
      inPlace(() =>
        Effect.gen(function*() {
          const part = Transaction.run(Effect.succeed("joined"), {
            session: { snapshot: true },
            onRetry: () => Effect.void,
            verifyCommit: Effect.succeed(true)
          })
          expect(yield* Transaction.run(part)).toBe("joined")
        })
      ))
  })

  describe("a joined part that failed", () => {
    const doomed = <A, E>(effect: Effect.Effect<A, E, Session.Session>) => effect.pipe(Transaction.run(), Effect.ignore)

    it.effect("before its first operation may be recovered from", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* place.insert(1).pipe(
            Effect.zipRight(Effect.ignore(Transaction.run(Effect.fail("early")))),
            Effect.zipRight(place.insert(2)),
            Transaction.run()
          )
          expect(yield* place.stored).toEqual([1, 2])
        })
      ))

    it.effect("after an operation dooms the whole, which then fails with what had failed first", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const failure = yield* doomed(Effect.zipRight(place.insert(1), Effect.fail("first"))).pipe(
            Effect.zipRight(doomed(Effect.zipRight(place.insert(2), Effect.fail("second")))),
            Effect.as("recovered"),
            Transaction.run(),
            Effect.flip
          )
          expect(failure).toMatchObject({ _tag: "TransactionDoomed", first: "first" })
          expect(yield* place.wire).toEqual(["1 insert start", "1 insert", "1 abortTransaction"])
          expect(yield* place.stored).toEqual([])
        })
      ))

    it.effect("after a read, too, for the server does not tell what an operation did", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const failure = yield* Effect.flip(Transaction.run(doomed(Effect.zipRight(place.count, Effect.fail("late")))))
          expect(failure).toMatchObject({ _tag: "TransactionDoomed", first: "late" })
        })
      ))

    it.effect("deep inside, with its operations in a part of its own, dooms the whole when each around it fails", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const inner = Transaction.run(place.insert(1))
          const middle = Transaction.run(Effect.zipRight(inner, Effect.fail("middle")))
          const failure = yield* Effect.flip(Transaction.run(Effect.ignore(middle)))
          expect(failure).toMatchObject({ _tag: "TransactionDoomed", first: "middle" })
        })
      ))

    it.effect("does not hide the body's own failure", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const failure = yield* doomed(Effect.zipRight(place.insert(1), Effect.fail("part"))).pipe(
            Effect.zipRight(Effect.fail("body")),
            Transaction.run(),
            Effect.flip
          )
          expect(failure).toBe("body")
        })
      ))

    it.effect("by a timeout in the midst of an operation dooms the whole", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Monitor.block(place, ["insert"], "200 millis")
          const failure = yield* Transaction.run(place.insert(1)).pipe(
            Effect.timeout("50 millis"),
            Effect.ignore,
            Transaction.run(),
            Effect.flip
          )
          expect(failure).toMatchObject({ _tag: "TransactionDoomed" })
          expect(yield* place.stored).toEqual([])
        })
      ))

    it.effect("by an interruption after its operation dooms the whole; before it does not", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const interrupted = <E>(first: Effect.Effect<void, E, Session.Session>) =>
            Effect.gen(function*() {
              const ready = yield* Deferred.make<void>()
              const part = first.pipe(
                Effect.zipRight(Deferred.succeed(ready, undefined)),
                Effect.zipRight(Effect.never),
                Transaction.run()
              )
              const fiber = yield* Effect.fork(part)
              yield* Deferred.await(ready)
              yield* Fiber.interrupt(fiber)
            })
          yield* Transaction.run(Effect.zipRight(interrupted(Effect.void), place.insert(7)))
          const failure = yield* Effect.flip(Transaction.run(interrupted(place.insert(1))))
          expect(failure).toMatchObject({ _tag: "TransactionDoomed" })
          expect(yield* place.stored).toEqual([7])
        })
      ))

    it.effect("without an operation of its own dooms nothing, whatever its neighbours do at the same time", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const inserted = yield* Deferred.make<void>()
          const neighbour = Transaction.run(Effect.zipRight(place.insert(1), Deferred.succeed(inserted, undefined)))
          const failing = Transaction.run(Effect.zipRight(Deferred.await(inserted), Effect.fail("early")))
          yield* Transaction.run(
            Effect.all([neighbour, Effect.ignore(failing), Transaction.run(place.insert(2))], {
              concurrency: "unbounded"
            })
          )
          expect(yield* place.stored).toEqual([1, 2])
        })
      ))

    it.effect("among concurrent ones dooms the whole when it was the one with the operation", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const failing = Transaction.run(Effect.zipRight(place.insert(2), Effect.fail("late")))
          const failure = yield* Effect.flip(Transaction.run(
            Effect.all([Transaction.run(place.insert(1)), Effect.ignore(failing)], { concurrency: "unbounded" })
          ))
          expect(failure).toMatchObject({ _tag: "TransactionDoomed", first: "late" })
          expect(yield* place.stored).toEqual([])
        })
      ))

    it.effect("leaves no fiber behind that could still write: its operations find it ended", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const failed = yield* Deferred.make<void>()
          const late = yield* Transaction.run(Effect.gen(function*() {
            const fiber = yield* Deferred.make<Fiber.RuntimeFiber<void, unknown>>()
            yield* Effect.zipRight(Deferred.await(failed), place.insert(8)).pipe(
              Effect.forkDaemon,
              Effect.flatMap((forked) => Deferred.succeed(fiber, forked)),
              Effect.zipRight(Effect.fail("early")),
              Transaction.run(),
              Effect.ignore
            )
            yield* place.insert(4)
            yield* Deferred.succeed(failed, undefined)
            const exit = yield* Fiber.await(yield* Deferred.await(fiber))
            yield* place.insert(5)
            return exit
          }))
          expect(late._tag === "Failure" && Cause.squash(late.cause)).toMatchObject({
            _tag: "TransactionEnded",
            operation: "use"
          })
          expect(yield* place.stored).toEqual([4, 5])
        })
      ))
  })
})
