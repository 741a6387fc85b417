/**
 * A transaction has its session's turn: nothing else is sent in it while one of its commands is in flight, and nothing more
 * when it is over.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Collection from "../../src/Collection.js"
import type * as MongoClient from "../../src/MongoClient.js"
import * as Once from "../../src/Once.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { clientWith, conflict, lostCommit } from "../support/server/connected.js"

const Things = Collection.make("things")
const insert = Things.insertOne({})
const update = Things.updateOne({ _id: 1 }, { $set: { n: 1 } })

const client = clientWith()

/** A part that waits when it has run an effect, and what has it go on with an insert, to the end. */
const halfDone = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const half = yield* Deferred.make<void>()
    const goOn = yield* Deferred.make<void>()
    const part = yield* Effect.fork(Transaction.run(
      effect.pipe(
        Effect.zipRight(Deferred.succeed(half, undefined)),
        Effect.zipRight(Deferred.await(goOn)),
        Effect.zipRight(insert)
      )
    ))
    yield* Deferred.await(half)
    return Effect.zipRight(Deferred.succeed(goOn, undefined), Fiber.await(part))
  })

/** Ends a transaction while a part of it is half done, and tells how that ended. */
const leaving = <A, E, R>(end: Effect.Effect<A, E, R>) =>
  Effect.flatMap(halfDone(insert), (goOn) => Effect.zipRight(end, goOn))

/** Ends a transaction, and begins another in its place. */
const anew = <A, E, R>(end: Effect.Effect<A, E, R>) =>
  end.pipe(Effect.zipRight(Transaction.start()), Effect.zipRight(insert))

/** Runs an effect in a transaction that was started by hand. */
const byHand = <A, E>(effect: Effect.Effect<A, E, MongoClient.MongoClient | Session.Session>) =>
  Session.scoped(Effect.zipRight(Transaction.start(), effect))

const namesOf = (server: Effect.Effect.Success<typeof client>["server"]) =>
  Effect.map(server.commands, (commands) => commands.map(({ name }) => name))

describe("a session", () => {
  for (
    const [name, command, end] of [
      ["commit", "commitTransaction", Transaction.commit],
      ["commitWith", "commitTransaction", Transaction.commitWith({ timeout: "1 minute" })],
      ["abort", "abortTransaction", Transaction.abort]
    ] as const
  ) {
    it.scopedLive(`is busy during ${name}, and an operation beside it waits`, () =>
      Effect.gen(function*() {
        const { on, server } = yield* client
        const answer = yield* Deferred.make<{}>()
        yield* server.on(command, () => Deferred.await(answer))
        yield* Effect.gen(function*() {
          const session = yield* Session.Session
          yield* Transaction.start()
          yield* insert
          const ending = yield* Effect.fork(end)
          yield* server.awaitCommand(command)
          expect(yield* session.state).toBe("busy")
          const beside = yield* Effect.fork(insert)
          yield* Effect.yieldNow()
          yield* Deferred.succeed(answer, {})
          yield* Fiber.join(ending)
          yield* Fiber.join(beside)
        }).pipe(Session.scoped(), on)
        expect(yield* server.overlaps).toEqual([])
      }))
  }

  it.scopedLive("is busy while it is refreshed", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const answer = yield* Deferred.make<{}>()
      yield* server.on("refreshSessions", () => Deferred.await(answer))
      yield* Effect.gen(function*() {
        const session = yield* Session.Session
        const refreshing = yield* Effect.fork(session.refresh)
        yield* server.awaitCommand("refreshSessions")
        expect(yield* session.state).toBe("busy")
        yield* Deferred.succeed(answer, {})
        yield* Fiber.join(refreshing)
        expect(yield* session.state).toBe("idle")
      }).pipe(Session.scoped(), on)
    }))

  // In virtual time, so that the limit is over for the refresh alone.
  it.scoped("is free again when a refresh has no answer in time", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      yield* server.on("refreshSessions", "hang")
      const error = yield* Effect.gen(function*() {
        const session = yield* Session.Session
        const refreshing = yield* Effect.fork(Effect.flip(session.refresh))
        yield* server.awaitCommand("refreshSessions")
        yield* TestClock.adjust("50 millis")
        const error = yield* Fiber.join(refreshing)
        yield* insert
        return error
      }).pipe(Session.scoped({ timeout: "50 millis" }), on)
      expect(error).toMatchObject({ _tag: "MongoError", reason: "TimedOut", operation: "refreshSessions" })
    }))

  // In virtual time, so that no limit of the refresh ends it.
  it.scoped("is free again as soon as a refresh is interrupted", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      yield* server.on("refreshSessions", "hang")
      yield* Effect.gen(function*() {
        const { refresh } = yield* Session.Session
        const refreshing = yield* Effect.fork(refresh)
        yield* server.awaitCommand("refreshSessions")
        yield* Fiber.interrupt(refreshing)
        yield* insert
      }).pipe(Session.scoped(), on)
    }))

  it.scopedLive("has a run wait for a commit by hand, and not join what ends", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const answer = yield* Deferred.make<{}>()
      yield* server.on("commitTransaction", (_, { count }) => count === 0 ? Deferred.await(answer) : {})
      yield* Effect.gen(function*() {
        yield* Transaction.start()
        yield* insert
        const committing = yield* Effect.fork(Transaction.commit)
        yield* server.awaitCommand("commitTransaction")
        const running = yield* Effect.fork(Transaction.run(insert))
        yield* Effect.yieldNow()
        yield* Deferred.succeed(answer, {})
        yield* Fiber.join(committing)
        yield* Fiber.join(running)
      }).pipe(Session.scoped(), on)
      expect(yield* namesOf(server)).toEqual(["insert", "commitTransaction", "insert", "commitTransaction"])
    }))

  it.scopedLive("has a part not join what a body is ending, nor go on when that has ended", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const inserted = yield* Deferred.make<{}>()
      const answer = yield* Deferred.make<{}>()
      yield* server.on("insert", (_, { count }) => count === 0 ? Deferred.await(inserted) : {})
      yield* server.on("commitTransaction", () => Deferred.await(answer))
      const exits = yield* Transaction.run(Effect.gen(function*() {
        const first = yield* Effect.fork(insert)
        yield* server.awaitCommand("insert")
        const committing = yield* Effect.fork(Transaction.commit)
        yield* Effect.yieldNow()
        // It waits for its turn behind the commit.
        const waiting = yield* Effect.fork(Transaction.run(insert))
        yield* Effect.yieldNow()
        yield* Deferred.succeed(inserted, {})
        yield* server.awaitCommand("commitTransaction")
        const late = yield* Effect.exit(Transaction.run(Transaction.onCommit(Effect.void)))
        yield* Deferred.succeed(answer, {})
        yield* Fiber.join(first)
        yield* Fiber.join(committing)
        return [late, yield* Fiber.await(waiting)]
      })).pipe(on)
      expect(exits).toMatchObject(exits.map(() => ({ cause: { error: { _tag: "TransactionEnded" } } })))
      expect(yield* namesOf(server)).toEqual(["insert", "commitTransaction"])
    }))

  it.scopedLive("that closes waits for a commit by hand", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const answer = yield* Deferred.make<{}>()
      yield* server.on("commitTransaction", () => Deferred.await(answer))
      const scope = yield* Scope.make()
      const session = yield* Scope.extend(Session.make(), scope).pipe(on)
      yield* Session.provide(Effect.zipRight(Transaction.start(), insert), session).pipe(on)
      const committing = yield* Effect.forkDaemon(on(Session.provide(Transaction.commit, session)))
      yield* server.awaitCommand("commitTransaction")
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* Effect.yieldNow()
      yield* Deferred.succeed(answer, {})
      yield* Fiber.join(committing)
      yield* Fiber.join(closing)
      expect(yield* namesOf(server)).not.toContain("abortTransaction")
      expect(yield* server.overlaps).toEqual([])
    }))
})

describe("a transaction that is over", () => {
  it.scopedLive("takes no write that has waited for others", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      let updates = 0
      yield* server.on("update", () => Effect.succeed(updates++ === 0 ? conflict : { n: 1, nModified: 1 }))
      yield* Effect.gen(function*() {
        // Now it is known that there is a contention.
        yield* Transaction.run(update)
        const holds = yield* Deferred.make<void>()
        const release = yield* Deferred.make<void>()
        const holder = yield* Effect.fork(Transaction.run(
          update.pipe(Effect.zipRight(Deferred.succeed(holds, undefined)), Effect.zipRight(Deferred.await(release)))
        ))
        yield* Deferred.await(holds)
        const before = updates
        const left = yield* Transaction.run(Effect.tap(Effect.fork(Effect.exit(update)), () =>
          // Until it waits for the other one.
          Effect.zipRight(Effect.yieldNow(), Effect.forkDaemon(Deferred.succeed(release, undefined)))))
        yield* Fiber.join(holder)
        expect(yield* Fiber.join(left)).toMatchObject({ cause: { error: { _tag: "TransactionEnded" } } })
        expect(updates).toBe(before)
      }).pipe(on)
    }))

  it.scopedLive("is not committed once more by hand", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const error = yield* Effect.gen(function*() {
        yield* Transaction.start()
        yield* insert
        yield* Transaction.abort
        yield* Transaction.run(insert)
        return yield* Effect.flip(Transaction.commit)
      }).pipe(Session.scoped(), on)
      expect(error).toMatchObject({ _tag: "MongoError", reason: "TransactionMisuse", operation: "commitTransaction" })
      const names = yield* namesOf(server)
      expect(names.filter((name) => name === "commitTransaction")).toHaveLength(1)
    }))

  it.scopedLive("may be committed once more when its result is unknown, also where a part has started it", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      // That of the part, then both tries of the driver.
      yield* server.on("commitTransaction", (_, { count }) => count === 1 || count === 2 ? lostCommit : {})
      const error = yield* Effect.gen(function*() {
        yield* Transaction.start()
        yield* Transaction.run(Effect.zipRight(insert, anew(Transaction.commit)))
        const error = yield* Effect.flip(Transaction.commit)
        yield* Transaction.commit
        return error
      }).pipe(Session.scoped(), on)
      expect(error).toMatchObject({
        _tag: "MongoError",
        labels: expect.arrayContaining(["UnknownTransactionCommitResult"])
      })
      const commits = yield* server.named("commitTransaction")
      expect(commits).toHaveLength(4)
    }))

  it.scopedLive("where a part of it was left behind half-way, is rolled back", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const sent = yield* Deferred.make<void>()
      const part = Transaction.run(
        insert.pipe(Effect.zipRight(Deferred.succeed(sent, undefined)), Effect.zipRight(Effect.never))
      )
      const body = Effect.zipRight(Effect.fork(part), Deferred.await(sent))
      expect(yield* on(Effect.flip(Transaction.run(body)))).toMatchObject({
        _tag: "TransactionDoomed",
        first: { _tag: "TransactionEnded" }
      })
      expect(yield* namesOf(server)).toContain("abortTransaction")
      // One that has not begun has left nothing behind.
      const idle = Transaction.run(Effect.zipRight(Effect.fork(Transaction.run(Effect.never)), insert))
      yield* on(idle)
    }))

  it.scopedLive("and its parts left behind, are rolled back where it is committed by hand or a hook has left them", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const left = Effect.gen(function*() {
        const sent = yield* Deferred.make<void>()
        yield* Effect.fork(Transaction.run(
          insert.pipe(Effect.zipRight(Deferred.succeed(sent, undefined)), Effect.zipRight(Effect.never))
        ))
        yield* Deferred.await(sent)
      })
      const ofHand = byHand(Effect.zipRight(left, Transaction.commit))
      const inBody = Transaction.run(Effect.zipRight(left, Transaction.commit))
      const inHook = Transaction.run(Effect.zipLeft(Transaction.beforeCommit(left), insert))
      for (const effect of [ofHand, inBody, inHook]) {
        expect(yield* on(Effect.flip(effect))).toMatchObject({ _tag: "TransactionDoomed" })
      }
      expect(yield* namesOf(server)).not.toContain("commitTransaction")
      // One that has been rolled back by hand takes its parts along.
      yield* on(Transaction.run(Effect.zipRight(left, Effect.zipRight(Transaction.abort, Transaction.start()))))
    }))

  for (
    const [where, transaction, inserts] of [
      ["a body", Transaction.run(leaving(Transaction.abort)), 1],
      ["a part", Transaction.run(leaving(Transaction.run(Transaction.abort))), 1],
      ["a part of one that was started by hand", byHand(leaving(Transaction.run(Transaction.abort))), 1],
      ["a body that starts another", Transaction.run(leaving(anew(Transaction.abort))), 2]
    ] as const
  ) {
    it.scopedLive(`because ${where} has aborted it, takes nothing more of a part that was left behind`, () =>
      Effect.gen(function*() {
        const { on, server } = yield* client
        const left = yield* on(transaction)
        expect(left).toMatchObject({ _tag: "Failure", cause: { error: { _tag: "TransactionEnded" } } })
        const names = yield* namesOf(server)
        expect(names.filter((name) => name === "insert")).toHaveLength(inserts)
        expect(names.filter((name) => name === "commitTransaction")).toHaveLength(inserts - 1)
      }))
  }

  it.scopedLive("by hand of a part, has that part write nothing into the next one", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const left = yield* on(byHand(
        Effect.flatMap(halfDone(Effect.zipRight(insert, Transaction.commit)), (goOn) =>
          Effect.zipRight(Effect.zipRight(Transaction.start(), insert), Effect.zipLeft(goOn, Transaction.commit)))
      ))
      expect(left).toMatchObject({ _tag: "Failure", cause: { error: { _tag: "TransactionEnded" } } })
      expect(yield* namesOf(server)).toEqual(["insert", "commitTransaction", "insert", "commitTransaction"])
    }))

  it.scopedLive("because an abort was sent, is over also where who sent it was interrupted before the answer", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const answer = yield* Deferred.make<{}>()
      yield* server.on("abortTransaction", () => Deferred.await(answer))
      const left = yield* Transaction.run(Effect.gen(function*() {
        const goOn = yield* halfDone(insert)
        const aborting = yield* Effect.fork(Transaction.abort)
        yield* server.awaitCommand("abortTransaction")
        yield* Fiber.interrupt(aborting)
        yield* Deferred.succeed(answer, {})
        return [yield* goOn, yield* Effect.exit(Transaction.run(insert))]
      })).pipe(Session.scoped({ settleTimeout: "500 millis" }), on)
      expect(left).toMatchObject(left.map(() => ({ cause: { error: { _tag: "TransactionEnded" } } })))
      expect(yield* namesOf(server)).toEqual(["insert", "abortTransaction"])
    }))

  it.scopedLive("tells who commits it by hand that it was aborted, whatever was left behind", () =>
    Effect.gen(function*() {
      const { on } = yield* client
      const error = yield* Transaction.run(
        Effect.zipRight(halfDone(insert), Effect.zipRight(Transaction.abort, Effect.flip(Transaction.commit)))
      ).pipe(on)
      expect(error).toMatchObject({ _tag: "MongoError", reason: "TransactionMisuse", operation: "commitTransaction" })
    }))

  it.scopedLive("and has another in its place, is rolled back where the part that started that was left behind", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const again = Effect.zipRight(insert, anew(Transaction.commit))
      expect(yield* on(Effect.flip(Transaction.run(Effect.asVoid(halfDone(again)))))).toMatchObject({
        _tag: "TransactionDoomed",
        first: { _tag: "TransactionEnded" }
      })
      expect(yield* namesOf(server)).toEqual(["insert", "commitTransaction", "insert", "abortTransaction"])
    }))

  it.scopedLive("runs no hook of a part that was left behind before it began as if that was committed", () =>
    Effect.gen(function*() {
      const { on } = yield* client
      const ran: Array<string> = []
      const registered = yield* Deferred.make<void>()
      const part = Effect.all([
        Transaction.onCommit(Effect.sync(() => ran.push("onCommit"))),
        Transaction.onRollback(Effect.sync(() => ran.push("onRollback"))),
        Deferred.succeed(registered, undefined),
        Effect.never
      ])
      const body = Effect.zipRight(Effect.fork(Transaction.run(part)), Deferred.await(registered))
      yield* on(Transaction.run(Effect.zipRight(body, insert)))
      expect(ran).toEqual(["onRollback"])
    }))

  for (
    const [name, end, hook] of [
      ["commits", Transaction.commit, "onCommit"],
      ["aborts", Transaction.abort, "onRollback"]
    ] as const
  ) {
    it.scopedLive(`by hand has its hooks run once, when a part of it ${name}`, () =>
      Effect.gen(function*() {
        const { on } = yield* client
        const ran: Array<string> = []
        const part = Effect.all([
          Transaction.onCommit(Effect.sync(() => ran.push("onCommit"))),
          Transaction.onRollback(Effect.sync(() => ran.push("onRollback"))),
          insert,
          end
        ])
        yield* Effect.gen(function*() {
          yield* Transaction.start()
          yield* Transaction.run(part)
          expect(ran).toEqual([hook])
        }).pipe(Session.scoped(), on)
        expect(ran).toEqual([hook])
      }))
  }

  it.scopedLive("where a claim of a key was left behind half-way, leaves the key free", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const claimed = yield* Deferred.make<void>()
      const Placing = Once.make("placing")
      const placing = Placing.run("1", Effect.zipRight(Deferred.succeed(claimed, undefined), Effect.never))
      const body = Effect.zipRight(Effect.fork(placing), Deferred.await(claimed))
      expect(yield* on(Effect.flip(Transaction.run(body)))).toMatchObject({ _tag: "TransactionDoomed" })
      expect(yield* namesOf(server)).not.toContain("commitTransaction")
    }))
})

describe("a session that has lapsed with a transaction in it", () => {
  it.scoped("goes on when the transaction was aborted", () =>
    Effect.gen(function*() {
      const { on, server } = yield* clientWith({ keepAlive: false })
      yield* Effect.gen(function*() {
        yield* Transaction.start({ warnings: false })
        yield* insert
        yield* TestClock.adjust(Duration.minutes(31))
        expect(yield* Effect.flip(insert)).toMatchObject({ _tag: "SessionLapsed" })
        expect(yield* Effect.flip(Transaction.commit)).toMatchObject({ _tag: "SessionLapsed" })
        yield* Transaction.abort
        yield* insert
        yield* Transaction.run(insert)
      }).pipe(Session.scoped({ onLapse: "renew" }), on)
      expect(yield* namesOf(server)).toEqual(["insert", "abortTransaction", "insert", "insert", "commitTransaction"])
    }))
})
