/**
 * How a transaction ends where the caller cannot be interrupted, where its session closes meanwhile, and where time runs out.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Collection from "../../src/Collection.js"
import type * as MongoClient from "../../src/MongoClient.js"
import type { MongoError } from "../../src/MongoError.js"
import * as Outbox from "../../src/Outbox.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { clientWith, conflict, lostCommit } from "../support/server/connected.js"
import type * as Responder from "../support/server/responder.js"
import { notesEnd } from "../support/transactions/ends.js"

const Things = Collection.make("things")
const insert = Things.insertOne({})
const update = Things.updateOne({ _id: 1 }, { $set: { n: 1 } })

const committedAlready = { ok: 0, code: 256, codeName: "TransactionCommitted", errmsg: "committed already" }
const updated = { n: 1, nModified: 1 }

const client = clientWith()

type Server = Effect.Effect.Success<typeof client>["server"]

const refused = { ok: 0, code: 13, codeName: "Unauthorized", errmsg: "not authorized" }

const countOf = (server: Server, name: string) => Effect.map(server.named(name), ({ length }) => length)

/** Interrupts an effect that never ends, and gives what its finalizer came to. */
const inFinalizer = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const over = yield* Deferred.make<Exit.Exit<A, E>>()
    const begun = yield* Deferred.make<void>()
    const finalizer = Effect.flatMap(Effect.exit(effect), (exit) => Deferred.succeed(over, exit))
    const fiber = yield* Effect.fork(
      Effect.ensuring(Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never), finalizer)
    )
    yield* Deferred.await(begun)
    yield* Fiber.interrupt(fiber)
    return yield* Deferred.await(over)
  })

/** Interrupts an effect that cannot be interrupted, when it has begun, and gives what it came to. */
const uninterruptibly = <A, E, R>(server: Server, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const over = yield* Deferred.make<Exit.Exit<A, E>>()
    const fiber = yield* Effect.fork(
      Effect.uninterruptible(Effect.flatMap(Effect.exit(effect), (exit) => Deferred.succeed(over, exit)))
    )
    yield* server.awaitCommand("update")
    yield* Fiber.interruptFork(fiber)
    return yield* Deferred.await(over)
  })

describe("a transaction of a caller that cannot be interrupted", () => {
  for (
    const [where, caller] of [
      ["in a finalizer", (_: Server) => inFinalizer(Transaction.run(update))],
      ["that was interrupted meanwhile", (server: Server) => uninterruptibly(server, Transaction.run(update))]
    ] as const
  ) {
    it.scopedLive(`${where}, is run again after a conflict`, () =>
      Effect.gen(function*() {
        const { on, server } = yield* client
        yield* server.on("update", (_, { count }) => count === 0 ? conflict : updated)
        expect(yield* on(caller(server))).toMatchObject({ _tag: "Success" })
        expect(yield* countOf(server, "update")).toBe(2)
      }))

    it.scopedLive(`${where}, has its commit sent until it is answered`, () =>
      Effect.gen(function*() {
        const { on, server } = yield* client
        yield* server.on("update", updated)
        yield* server.on("commitTransaction", (_, { count }) => count < 4 ? lostCommit : {})
        expect(yield* on(caller(server))).toMatchObject({ _tag: "Success" })
        expect(yield* countOf(server, "commitTransaction")).toBe(5)
        expect(yield* countOf(server, "abortTransaction")).toBe(0)
      }))
  }
})

const bodyOf = (ran: Array<string>) => Effect.zipRight(notesEnd(ran), insert)

describe("a session that closes while a commit in it is in flight, and does not wait for it", () => {
  /** Closes the session of a transaction in the midst of its commit, which then turns out to have happened. */
  const closing = <A, E>(
    run: (body: ReturnType<typeof bodyOf>) => Effect.Effect<A, E, MongoClient.MongoClient | Session.Session>
  ) =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const answer = yield* Deferred.make<{}>()
      const ran: Array<string> = []
      yield* server.on("commitTransaction", () => Deferred.await(answer))
      yield* server.on("abortTransaction", committedAlready)
      const scope = yield* Scope.make()
      const session = yield* on(Scope.extend(Session.make({ settleTimeout: "50 millis" }), scope))
      const running = yield* Effect.forkDaemon(
        on(Session.provide(Effect.exit(run(bodyOf(ran))), session))
      )
      yield* server.awaitCommand("commitTransaction")
      yield* Scope.close(scope, Exit.void)
      expect(ran).toEqual([])
      yield* Deferred.succeed(answer, {})
      return { exit: yield* Fiber.join(running), ran }
    })

  it.scopedLive("does not tell a run that it was refused", () =>
    Effect.gen(function*() {
      const { exit, ran } = yield* closing((body) => Transaction.run(body))
      // The server was asked, and said that it was committed.
      expect(exit).toMatchObject({ _tag: "Success" })
      expect(ran).toEqual(["onCommit"])
    }))

  it.scopedLive("does not tell a program that commits by hand that it was refused", () =>
    Effect.gen(function*() {
      const { exit, ran } = yield* closing((body) =>
        Effect.zipRight(Effect.zipRight(Transaction.start(), Transaction.run(body)), Transaction.commit)
      )
      expect(exit).toMatchObject({
        cause: { error: { _tag: "MongoError", labels: ["UnknownTransactionCommitResult"] } }
      })
      expect(ran).toEqual([])
    }))
})

describe("a commit whose answer nobody gets or understands", () => {
  const ways: Readonly<
    Record<string, {
      readonly reply: Responder.Reply
      readonly after: (client: MongoClient.Service) => Effect.Effect<void>
      readonly reason: MongoError["reason"]
    }>
  > = {
    "as the driver's client is closed in its midst": {
      reply: "hang",
      after: ({ driver }) => Effect.promise(() => driver.close()),
      reason: "ConnectionClosed"
    },
    "as it is neither yes nor no": {
      reply: { ok: "x" },
      after: () => Effect.void,
      reason: "Other"
    }
  }

  for (const [way, { after, reason, reply }] of Object.entries(ways)) {
    /** Runs a transaction until nobody knows what became of its commit. */
    const losing = <A, E>(run: (body: ReturnType<typeof bodyOf>) => Effect.Effect<A, E, MongoClient.MongoClient>) =>
      Effect.gen(function*() {
        const { client: service, on, server } = yield* client
        yield* server.on("commitTransaction", reply)
        yield* server.on("abortTransaction", refused)
        const hooks: Array<string> = []
        const running = yield* Effect.fork(on(run(bodyOf(hooks))))
        yield* server.awaitCommand("commitTransaction")
        yield* after(service)
        return { result: yield* Fiber.join(running), hooks, commits: yield* countOf(server, "commitTransaction") }
      })

    it.scopedLive(`is of unknown result, ${way}; it is sent once, and no hook runs`, () =>
      Effect.gen(function*() {
        const { commits, hooks, result } = yield* losing((body) => Effect.flip(Transaction.run(body)))
        expect(result).toMatchObject({ _tag: "CommitUnknown", last: { reason } })
        expect([commits, hooks]).toEqual([1, []])
      }))

    it.scopedLive(`is known by the program's own look, ${way}`, () =>
      Effect.gen(function*() {
        const { hooks } = yield* losing((body) => Transaction.run(body, { verifyCommit: Effect.succeed(true) }))
        expect(hooks).toEqual(["onCommit"])
      }))

    it.scopedLive(`is of unknown result by hand, too, ${way}`, () =>
      Effect.gen(function*() {
        const { hooks, result } = yield* losing((body) =>
          Transaction.run(Effect.zipRight(body, Effect.flip(Transaction.commit)))
        )
        expect(result).toMatchObject({ reason, labels: ["UnknownTransactionCommitResult"] })
        expect(hooks).toEqual([])
      }))
  }
})

describe("a transaction with an operation that never settles", () => {
  it.scopedLive("is ended on the server while its session is still open", () =>
    Effect.gen(function*() {
      const { on, server } = yield* clientWith({ settleTimeout: "100 millis" })
      yield* server.on("insert", (_, { count }) => count === 1 ? "hang" : { n: 1 })
      yield* on(Session.scoped(Effect.gen(function*() {
        const running = yield* Effect.fork(Transaction.run(Effect.zipRight(insert, insert)))
        yield* server.awaitCommand("insert", 2)
        yield* Fiber.interrupt(running)
        const { command } = yield* server.awaitCommand("killSessions")
        const [begun] = yield* server.named("insert")
        expect(command["killSessions"]).toEqual([begun?.command["lsid"]])
      })))
    }))
})

describe("what is put off in a body that has ended its transaction by hand", () => {
  const things = Outbox.make("sent", { schema: Schema.Struct({ n: Schema.Number }) })
  const late = {
    beforeCommit: Transaction.beforeCommit(insert),
    onCommit: Transaction.onCommit(Effect.void),
    onRollback: Transaction.onRollback(Effect.void),
    publish: things.publish({ n: 1 })
  }
  for (const [ending, end] of [["commit", Transaction.commit], ["abort", Transaction.abort]] as const) {
    it.scopedLive(`is refused after a ${ending}: it would never run`, () =>
      Effect.gen(function*() {
        const { on } = yield* client
        for (const [operation, putOff] of Object.entries(late)) {
          const run = Transaction.run(Effect.zipRight(insert, Effect.zipRight(end, Effect.flip(putOff))))
          expect(yield* on(run)).toMatchObject({ _tag: "TransactionEnded", operation })
        }
      }))
  }

  it.scopedLive("is taken by the next one that is started", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const again = Effect.zipRight(Transaction.start(), Effect.zipRight(insert, late.beforeCommit))
      yield* on(Transaction.run(Effect.zipRight(insert, Effect.zipRight(Transaction.commit, again))))
      expect(yield* countOf(server, "insert")).toBe(3)
    }))
})

describe("a transaction whose time is over", () => {
  class Domain {
    readonly _tag = "Domain"
  }
  const Slow = Collection.make("slow", { timeout: "400 millis" })

  it.scopedLive("for an operation only, fails with the error of the body, in whichever attempt", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      yield* server.on("update", (_, { count }) => count === 0 ? conflict : "hang")
      const body = Effect.mapError(Slow.updateOne({ _id: 1 }, { $set: { n: 1 } }), () => new Domain())
      expect(yield* on(Effect.flip(Transaction.run(body)))).toBeInstanceOf(Domain)
      expect(yield* countOf(server, "update")).toBe(2)
    }))

  it.scopedLive("for a part that has sent nothing, goes on", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const late = Transaction.run(Effect.zipRight(Effect.sleep("40 millis"), insert), { timeout: "20 millis" })
      const error = yield* on(Transaction.run(Effect.zipLeft(Effect.flip(late), insert)))
      expect(error).toMatchObject({ _tag: "MongoError", reason: "TimedOut" })
      expect(yield* countOf(server, "insert")).toBe(1)
      expect(yield* countOf(server, "commitTransaction")).toBe(1)
    }))

  it.scopedLive("does not wait to run one inside of it again", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      yield* server.on("update", conflict)
      const inner = Transaction.run(update, { propagation: "requiresNew", retry: Schedule.spaced("1 minute") })
      const [time] = yield* Effect.timed(
        on(Effect.flip(Transaction.run(inner, { timeout: "500 millis" })))
      )
      expect(Duration.toSeconds(time)).toBeLessThan(30)
    }))
})
