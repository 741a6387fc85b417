import { describe, expect, layer } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Lease from "../../src/Lease.js"
import { LeaseLost } from "../../src/LeaseErrors.js"
import * as Session from "../../src/Session.js"
import { live } from "../../src/testing/internal/live.js"
import * as Transaction from "../../src/Transaction.js"
import { onKeys, type Place } from "../support/once/keys.js"
import * as TestServer from "../support/server/testServer.js"
import { until } from "../support/watch/until.js"

interface Stored {
  readonly _id: string
  readonly token: number
  readonly holder: string | null
  readonly takenAt: Date
  readonly expiresAt: Date
}

const storedIn = ({ client, database }: Place) =>
  client.driver.db(database).collection<Stored>("effect_mongo_session.leases")

const inHand = (lease: Lease.Lease) => Effect.scoped(Effect.map(lease.acquire, ({ token }) => token))

/** A lease, and another instance that wants it at once or not at all. */
const leases = (database: string, options?: Lease.Options) => ({
  mine: Lease.make("lease", { database, ...options }),
  theirs: Lease.make("lease", { database, ...options, poll: Schedule.stop }),
  waiting: Lease.make("lease", { database, ...options, poll: Schedule.spaced("5 millis") })
})

/** Takes a lease away from whoever has it. */
const taken = (place: Place) =>
  Effect.promise(() =>
    storedIn(place).updateOne({ _id: "lease" }, { $set: { holder: "other" }, $inc: { token: 1 } }, {
      writeConcern: { w: "majority" }
    })
  )

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a lease", () => {
    it.effect("is held by one at a time; its token grows by one with each acquisition", () =>
      onKeys(({ database, onOther }) =>
        live(Effect.gen(function*() {
          const { mine, theirs } = leases(database)
          yield* Effect.scoped(Effect.gen(function*() {
            expect(yield* mine.acquire).toMatchObject({ name: "lease", token: 1 })
            const error = yield* Effect.flip(onOther(inHand(theirs)))
            expect(error).toMatchObject({ _tag: "LeaseTaken", lease: "lease" })
            const remaining = "remaining" in error ? Duration.toMillis(error.remaining) : 0
            expect(remaining).toBeGreaterThan(20_000)
            expect(remaining).toBeLessThanOrEqual(30_000)
          }))
          // Released with the scope: nobody waits.
          expect(yield* onOther(inHand(theirs))).toBe(2)
          expect(yield* inHand(mine)).toBe(3)
        }))
      ))

    it.effect("is waited for", () =>
      onKeys(({ database, onOther }) =>
        live(Effect.gen(function*() {
          const { mine, waiting } = leases(database)
          const order: Array<string> = []
          const note = (what: string) => Effect.sync(() => void order.push(what))
          const other = yield* Effect.scoped(Effect.gen(function*() {
            yield* mine.acquire
            const other = yield* Effect.forkDaemon(onOther(waiting.run(note("other"))))
            yield* Effect.sleep("50 millis")
            yield* note("first")
            return other
          }))
          yield* Fiber.join(other)
          expect(order).toEqual(["first", "other"])
        }))
      ))

    it.effect("is renewed while it is held, by the server's clock, however wrong the client's is", () =>
      onKeys((place) => {
        const wrong = (millis: number) => {
          const clock = Clock.make()
          const now = clock.unsafeCurrentTimeMillis.bind(clock)
          return Effect.withClock(Object.assign(clock, {
            unsafeCurrentTimeMillis: () => now() + millis,
            currentTimeMillis: Effect.sync(() => now() + millis)
          }))
        }
        const read = Effect.promise(() => storedIn(place).findOne({ _id: "lease" }))
        return Effect.forEach([-3_600_000, 3_600_000], (millis) =>
          wrong(millis)(Effect.scoped(Effect.gen(function*() {
            const { mine, theirs } = leases(place.database, { for: "400 millis" })
            const held = yield* mine.acquire
            const first = yield* read
            expect(Number(first?.expiresAt) - Number(first?.takenAt)).toBe(400)
            const renewed = yield* until(read, (now) => Number(now?.expiresAt) > Number(first?.expiresAt) + 400)
            expect(renewed?.takenAt).toEqual(first?.takenAt)
            expect(renewed?.token).toBe(held.token)
            expect(yield* Effect.flip(place.onOther(inHand(theirs)))).toMatchObject({ _tag: "LeaseTaken" })
          }))))
      }))

    it.effect("runs out when it is not renewed, and another takes over", () =>
      onKeys(({ database, onOther }) =>
        live(Effect.scoped(Effect.gen(function*() {
          const { mine, waiting } = leases(database, { for: "150 millis", renew: Schedule.stop })
          const first = yield* mine.acquire
          const second = yield* onOther(inHand(waiting))
          expect([first.token, second]).toEqual([1, 2])
          expect(yield* Effect.flip(first.lost)).toMatchObject({ _tag: "LeaseLost", token: 1, reason: "NotRenewed" })
        })))
      ))

    it.effect("that was lost is noticed by the next renewal: what runs under it is interrupted", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { mine } = leases(place.database, { for: "10 seconds", renew: "50 millis" })
          const begun = yield* Deferred.make<void>()
          let isInterrupted = false
          const running = yield* Effect.fork(mine.run(
            Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never).pipe(
              Effect.onInterrupt(() => Effect.sync(() => isInterrupted = true))
            )
          ))
          yield* Deferred.await(begun)
          yield* taken(place)
          expect(yield* Effect.flip(Fiber.join(running))).toMatchObject({ _tag: "LeaseLost", reason: "NotHeld" })
          expect(isInterrupted).toBe(true)
          // Who has lost it does not release that of another.
          const found = yield* Effect.promise(() => storedIn(place).findOne({ _id: "lease" }))
          expect(found).toMatchObject({ holder: "other", token: 2 })
          expect(Number(found?.expiresAt) - Number(found?.takenAt)).toBeGreaterThanOrEqual(10_000)
        }))
      ))

    it.effect("that can't be renewed is lost before the server gives it to another", () =>
      onKeys((place) =>
        live(Effect.scoped(Effect.gen(function*() {
          const { mine, theirs } = leases(place.database, { for: "400 millis" })
          const held = yield* mine.acquire
          yield* place.failing({ failCommands: ["update"], mode: "alwaysOn", errorCode: 13 })
          const error = yield* Effect.flip(held.whileHeld(Effect.never))
          expect(error).toMatchObject({ reason: "NotRenewed", last: { reason: "Unauthorized" } })
          // What begins now does not begin.
          let ran = false
          yield* Effect.flip(held.whileHeld(Effect.sync(() => ran = true)))
          expect(ran).toBe(false)
          const next = yield* Effect.either(place.onOther(inHand(theirs)))
          if (Either.isRight(next)) expect(next.right).toBe(2)
        })))
      ))

    it.effect("whose acquisition was not answered finds itself when it tries again", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          // The server has done it, and says that it does not know whether it will last.
          yield* place.failing({
            failCommands: ["findAndModify"],
            mode: { times: 2 },
            writeConcernError: { code: 91, errmsg: "shutting down" }
          })
          const { theirs, waiting } = leases(place.database)
          yield* Effect.scoped(Effect.gen(function*() {
            expect(yield* waiting.acquire).toMatchObject({ token: 1 })
            expect(yield* Effect.flip(place.onOther(inHand(theirs)))).toMatchObject({ _tag: "LeaseTaken" })
          }))
          expect(yield* place.onOther(inHand(theirs))).toBe(2)
        }))
      ))

    it.effect("whose acquisition is interrupted while the server does it stays with nobody", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { mine, theirs } = leases(place.database)
          yield* Effect.scoped(Effect.gen(function*() {
            yield* place.failing({ failCommands: ["findAndModify"], mode: "alwaysOn", blockFor: "200 millis" })
            const acquiring = yield* Effect.fork(inHand(mine))
            yield* until(place.monitor.commands, (commands) => commands.some(({ name }) => name === "findAndModify"))
            yield* Fiber.interrupt(acquiring)
          }))
          expect(yield* Effect.promise(() => storedIn(place).findOne())).toMatchObject({ token: 1, holder: null })
          expect(yield* place.onOther(inHand(theirs))).toBe(2)
        }))
      ))

    it.effect("is refused inside a transaction, and with options that are wrong, before anything is sent", () =>
      onKeys(({ database, sent }) =>
        Effect.gen(function*() {
          const { mine } = leases(database)
          const wrong = Lease.make("", { database, for: "1 second", renew: "2 seconds" })
          const names = yield* sent(Effect.gen(function*() {
            const inside = yield* Effect.flip(Transaction.run(Effect.scoped(mine.acquire)))
            expect(inside).toMatchObject({ _tag: "InvalidInTransaction", operation: "Lease.acquire" })
            const byHand = Effect.zipRight(Transaction.start(), Effect.flip(Effect.scoped(mine.acquire)))
            expect(yield* Session.scoped(byHand)).toMatchObject({
              _tag: "InvalidInTransaction",
              operation: "Lease.acquire"
            })
            const error = yield* Effect.flip(inHand(wrong))
            expect("issues" in error && error.issues.map(({ path }) => path)).toEqual([["name"], ["renew"]])
          }))
          expect(names).toEqual([])
        })
      ))
  })

  describe("a leader", () => {
    it.effect("is one of all; the next begins when it has ended, and one that loses its lease waits for its turn", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { database, onOther } = place
          const tokens: Array<readonly [string, number]> = []
          const lead = (who: string, mayEnd: Deferred.Deferred<void>) =>
            Lease.leader(
              "lease",
              Effect.gen(function*() {
                const { token } = yield* Lease.Held
                tokens.push([who, token])
                yield* Deferred.await(mayEnd)
                return who
              }),
              { database, for: "10 seconds", renew: "20 millis", poll: Schedule.spaced("10 millis") }
            )
          const [one, two] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
          const first = yield* Effect.fork(lead("one", one))
          yield* until(Effect.sync(() => tokens.length), (length) => length === 1)
          // It runs out at once for whoever has it.
          yield* Effect.promise(() => storedIn(place).updateOne({ _id: "lease" }, { $set: { expiresAt: new Date(0) } }))
          yield* until(Effect.sync(() => tokens.length), (length) => length === 2)
          const second = yield* Effect.fork(onOther(lead("two", two)))
          yield* Deferred.succeed(one, undefined)
          expect(yield* Fiber.join(first)).toBe("one")
          yield* Deferred.succeed(two, undefined)
          expect(yield* Fiber.join(second)).toBe("two")
          expect(tokens).toEqual([["one", 1], ["one", 2], ["two", 3]])
        }))
      ))

    it.effect("fails with the loss of another lease, as with any failure", () =>
      onKeys(({ database }) =>
        live(Effect.gen(function*() {
          const lost = new LeaseLost({ lease: "another", token: 1, reason: "NotHeld" })
          let turns = 0
          const work = Effect.suspend(() => ++turns > 1 ? Effect.void : Effect.fail(lost))
          expect(yield* Effect.flip(Lease.leader("lease", work, { database }))).toBe(lost)
        }))
      ))
  })

  describe("a guard", () => {
    const guarded = (place: Place, n: number, first: Effect.Effect<unknown> = Effect.void) =>
      Transaction.run(Effect.gen(function*() {
        yield* place.insert(n)
        yield* first
        yield* Lease.guard
      }))

    const held = <A, E, R>(lease: Lease.Lease, effect: Effect.Effect<A, E, R>) =>
      Effect.scoped(Effect.flatMap(lease.acquire, (held) => Effect.provideService(effect, Lease.Held, held)))

    it.effect("lets a transaction commit while the lease is held, and renews it with that", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { mine } = leases(place.database)
          yield* mine.run(Effect.gen(function*() {
            const before = yield* Effect.promise(() => storedIn(place).findOne())
            expect(yield* place.sent(guarded(place, 1))).toEqual(["insert", "update", "commitTransaction"])
            const after = yield* Effect.promise(() => storedIn(place).findOne())
            expect(Number(after?.expiresAt)).toBeGreaterThan(Number(before?.expiresAt))
          }))
          expect(yield* place.stored).toEqual([1])
        }))
      ))

    it.effect("refuses the commit when another has taken the lease, before or since the transaction has begun", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { mine } = leases(place.database)
          const lost = yield* Effect.flip(held(mine, Effect.zipRight(taken(place), guarded(place, 1))))
          expect(lost).toMatchObject({ _tag: "LeaseLost", token: 1, reason: "NotHeld" })
          yield* Effect.promise(() => storedIn(place).deleteMany({}))
          const since = yield* Effect.flip(held(mine, guarded(place, 2, taken(place))))
          expect(since).toMatchObject({ _tag: "LeaseLost", token: 1, reason: "NotHeld" })
          expect(yield* place.stored).toEqual([])
        }))
      ))

    it.effect("refuses the commit when the lease has run out by the server's clock, though nobody has taken it", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { mine } = leases(place.database)
          const runsOut = Effect.promise(() =>
            storedIn(place).updateOne({}, [{ $set: { expiresAt: { $subtract: ["$$NOW", 1] } } }])
          )
          const lost = yield* Effect.flip(held(mine, Effect.zipRight(runsOut, guarded(place, 1))))
          expect(lost).toMatchObject({ _tag: "LeaseLost", reason: "NotHeld" })
          expect(yield* place.stored).toEqual([])
        }))
      ))

    it.effect("lets nobody else have the lease before its transaction has ended, though the lease runs out meanwhile", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { mine, waiting } = leases(place.database, { for: "100 millis", renew: Schedule.stop })
          const order: Array<string> = []
          yield* held(
            mine,
            Effect.gen(function*() {
              const begun = yield* Deferred.make<void>()
              const running = yield* Effect.fork(Transaction.run(Effect.gen(function*() {
                yield* Lease.guard
                yield* Deferred.succeed(begun, undefined)
                yield* Effect.sleep("300 millis")
                yield* place.insert(1)
                order.push("committing")
              })))
              yield* Deferred.await(begun)
              yield* place.onOther(Effect.scoped(Effect.gen(function*() {
                yield* waiting.acquire
                order.push("taken over")
                expect(yield* place.stored).toEqual([1])
              })))
              yield* Fiber.join(running)
            })
          )
          expect(order).toEqual(["committing", "taken over"])
        }))
      ))

    it.effect("finds the lease again when the body is run again", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { mine } = leases(place.database)
          yield* place.failing({
            failCommands: ["commitTransaction"],
            mode: { times: 1 },
            errorCode: 251,
            errorLabels: ["TransientTransactionError"]
          })
          let attempts = 0
          yield* mine.run(guarded(place, 1, Effect.sync(() => attempts++)))
          expect(attempts).toBe(2)
          expect(yield* place.stored).toEqual([1])
        }))
      ))

    it.effect("is refused in a transaction of another client", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { mine } = leases(place.database)
          const error = yield* Effect.flip(held(mine, place.onOther(Transaction.run(Lease.guard))))
          expect(error).toMatchObject({ _tag: "ForeignSession" })
        }))
      ))
  })
})
