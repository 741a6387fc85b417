/**
 * What a caller is told of a commit whose answer hides another one, or comes through a router, and of a body that has committed
 * before it fails.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Collection from "../../src/Collection.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Transaction from "../../src/Transaction.js"
import { clientWith, conflict, connected, lostCommit } from "../support/server/connected.js"
import type * as Responder from "../support/server/responder.js"
import { notesEnd } from "../support/transactions/ends.js"

const Things = Collection.make("things")
const insert = Things.insertOne({})
const bodyOf = (ran: Array<string>) => Effect.zipRight(notesEnd(ran), insert)
const client = clientWith()

const refused = { ok: 0, code: 13, codeName: "Unauthorized", errmsg: "not authorized" }
const noSuch = { ok: 0, code: 251, codeName: "NoSuchTransaction", errmsg: "no such transaction" }
const overloaded = {
  ...{ ok: 0, code: 462, codeName: "IngressRequestRateLimitExceeded", errmsg: "too much" },
  errorLabels: ["SystemOverloadedError", "RetryableError"]
}
const notReplicated = { writeConcernError: { code: 64, codeName: "WriteConcernFailed", errmsg: "timed out" } }

describe("a commit whose first try is lost, and whose second the driver is refused", () => {
  const firsts: Readonly<Record<string, Responder.Reply>> = {
    "with its connection": "close",
    "with the primary, which steps down": lostCommit
  }
  const seconds: Readonly<Record<string, Responder.Reply>> = {
    "as no majority confirms that nobody knows of it": noSuch,
    "as its user may not commit any more": refused
  }
  for (const [how, first] of Object.entries(firsts)) {
    for (const [why, second] of Object.entries(seconds)) {
      const losing = <A, E>(
        run: (body: ReturnType<typeof bodyOf>) => Effect.Effect<A, E, MongoClient.MongoClient>,
        third: Responder.Reply
      ) =>
        Effect.gen(function*() {
          const { on, server } = yield* client
          yield* server.on("commitTransaction", (_, { count }) => [first, second][count] ?? third)
          yield* server.on("abortTransaction", refused)
          const hooks: Array<string> = []
          const result = yield* on(run(bodyOf(hooks)))
          return { hooks, result }
        })

      it.scopedLive(`is not told as refused, ${how}, ${why}`, () =>
        Effect.gen(function*() {
          const { hooks, result } = yield* losing((body) => Effect.flip(Transaction.run(body)), second)
          expect(result).toMatchObject({ _tag: "CommitUnknown" })
          expect(hooks).toEqual([])
        }))

      it.scopedLive(`is sent again, ${how}, ${why}`, () =>
        Effect.gen(function*() {
          const { hooks } = yield* losing((body) => Transaction.run(body), { ok: 1 })
          expect(hooks).toEqual(["onCommit"])
        }))

      it.scopedLive(`is of unknown result by hand, too, ${how}, ${why}`, () =>
        Effect.gen(function*() {
          const { hooks, result } = yield* losing(
            (body) => Transaction.run(Effect.zipRight(body, Effect.flip(Transaction.commit))),
            second
          )
          expect(result).toMatchObject({ labels: ["UnknownTransactionCommitResult"] })
          expect(hooks).toEqual([])
        }))
    }
  }
})

/** A commit by hand, and what it fails with. */
const byHand = (ran: Array<string>) => Transaction.run(Effect.zipRight(bodyOf(ran), Effect.flip(Transaction.commit)))

describe("a commit that the driver may send no more", () => {
  const answers: Readonly<Record<string, Responder.Reply>> = {
    "to a primary that steps down": lostCommit,
    "that is written, but not by a majority in time": notReplicated
  }
  const clients: Readonly<Record<string, { readonly attempts: number; readonly before: number }>> = {
    "as the program has taken its retries away": { attempts: 0, before: 0 },
    "as the server is overloaded": { attempts: 2, before: 2 }
  }
  for (const [which, reply] of Object.entries(answers)) {
    for (const [why, { attempts, before }] of Object.entries(clients)) {
      const connect = Effect.tap(
        clientWith({ driver: { maxAdaptiveRetries: attempts } }),
        ({ server }) => server.on("commitTransaction", (_, { count }) => count < before ? overloaded : reply)
      )

      it.scopedLive(`is of unknown result by hand, ${which}, ${why}`, () =>
        Effect.gen(function*() {
          const { on } = yield* connect
          const ran: Array<string> = []
          const error = yield* on(byHand(ran))
          expect(error).toMatchObject({ labels: expect.arrayContaining(["UnknownTransactionCommitResult"]) })
          expect(ran).toEqual([])
        }))

      it.scopedLive(`is sent again by a run, ${which}, ${why}`, () =>
        Effect.gen(function*() {
          const { on, server } = yield* connect
          yield* server.on("commitTransaction", (_, { count }) =>
            count < before ? overloaded : count === before ? reply : { ok: 1 })
          const ran: Array<string> = []
          yield* on(Transaction.run(bodyOf(ran)))
          expect(ran).toEqual(["onCommit"])
        }))
    }
  }

  it.scopedLive("has no label that the specification takes from it", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      const unmet = { writeConcernError: { code: 100, codeName: "UnsatisfiableWriteConcern", errmsg: "too few" } }
      yield* server.on("commitTransaction", (_, { count }) => count === 0 ? lostCommit : unmet)
      const ran: Array<string> = []
      const error = yield* on(byHand(ran))
      expect(error).toMatchObject({ code: 100, labels: [] })
      expect(ran).toEqual([])
    }))
})

describe("a commit that is refused when one before it was lost", () => {
  it.scopedLive("is of unknown result by hand, as the one before", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      yield* server.on("commitTransaction", (_, { count }) => count < 2 ? "close" : noSuch)
      const ran: Array<string> = []
      const twice = Effect.zipRight(Effect.flip(Transaction.commit), Effect.flip(Transaction.commit))
      const again = yield* on(Transaction.run(Effect.zipRight(bodyOf(ran), twice)))
      expect(again).toMatchObject({ reason: "NoSuchTransaction", labels: ["UnknownTransactionCommitResult"] })
      expect(ran).toEqual([])
    }))

  it.scopedLive("is of unknown result where a member says that it has committed, and no majority confirms it", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      yield* server.on("commitTransaction", (_, { count }) => count === 0 ? refused : "hang")
      yield* server.on("abortTransaction", { ok: 0, code: 256, codeName: "TransactionCommitted", errmsg: "committed" })
      const ran: Array<string> = []
      const error = yield* on(Effect.flip(Transaction.run(bodyOf(ran), { timeout: "1 second" })))
      expect(error).toMatchObject({ _tag: "CommitUnknown" })
      expect(ran).toEqual([])
    }))
})

type Running<A, E> = Effect.Effect<A, E, MongoClient.MongoClient>

describe("a commit through a router", () => {
  const token = { recoveryShardId: "a" }
  const router = { setName: undefined, hosts: undefined, msg: "isdbgrid" }
  const run = <A, E>(
    replies: Readonly<Record<string, Responder.Handler | Responder.Reply>>,
    of: Running<A, E> | ((sent: Effect.Effect<unknown>) => Running<A, E>)
  ) =>
    Effect.gen(function*() {
      const handlers = { insert: { n: 1, recoveryToken: token }, ...replies }
      const { client, server } = yield* connected({ hello: router, handlers }, { settleTimeout: "1 second" })
      const effect = Effect.isEffect(of) ? of : of(server.awaitCommand("commitTransaction"))
      const exit = yield* Effect.exit(Effect.provideService(effect, MongoClient.MongoClient, client))
      const commits = yield* server.named("commitTransaction")
      const aborts = yield* server.named("abortTransaction")
      return { exit, aborts: aborts.length, tokens: commits.map(({ command }) => command["recoveryToken"]) }
    })

  it.scopedLive("is asked about by another commit, and never by an abort, which might undo half of it", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const { aborts, exit, tokens } = yield* run(
        { commitTransaction: (_, { count }) => count === 0 ? "hang" : { ok: 1 } },
        Transaction.run(bodyOf(ran), { timeout: "300 millis" })
      )
      expect(Exit.isSuccess(exit)).toBe(true)
      expect([aborts, ran, tokens]).toEqual([0, ["onCommit"], [token, token]])
    }))

  it.scopedLive("is aborted where the router finds by its token that nothing was committed", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const { aborts, exit } = yield* run(
        {
          commitTransaction: (_, { count }) =>
            count === 0 ? "hang" : { ...noSuch, errorLabels: ["TransientTransactionError"] }
        },
        Effect.flip(Transaction.run(bodyOf(ran), { timeout: "300 millis", retry: Schedule.stop }))
      )
      expect(exit).toMatchObject({ value: { _tag: "TransactionAborted" } })
      expect([aborts, ran]).toEqual([0, ["onRollback"]])
    }))

  it.scopedLive("is never aborted while it is in flight, also where its caller waits no longer", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const { aborts, tokens } = yield* run(
        { commitTransaction: "hang" },
        (sent) =>
          Effect.flatMap(
            Effect.fork(Transaction.run(bodyOf(ran))),
            (running) => Effect.zipRight(sent, Fiber.interrupt(running))
          )
      )
      expect([aborts, ran, tokens]).toEqual([0, [], [token, token]])
    }))

  for (
    const [how, second] of Object.entries<Responder.Reply>({
      "gets no answer": "hang",
      "is written, but not by a majority in time": notReplicated
    })
  ) {
    it.scopedLive(`is of unknown result where it is refused, and another one ${how}`, () =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const { exit } = yield* run(
          { commitTransaction: (_, { count }) => count === 0 ? refused : second },
          Effect.flip(Transaction.run(bodyOf(ran), { timeout: "1 second" }))
        )
        expect(exit).toMatchObject({ value: { _tag: "CommitUnknown" } })
        expect(ran).toEqual([])
      }))
  }

  it.scopedLive("is left to the cluster when nobody knows", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const { aborts, exit } = yield* run(
        { commitTransaction: { ok: 0, code: 50, codeName: "MaxTimeMSExpired", errmsg: "too late" } },
        Effect.flip(Transaction.run(bodyOf(ran), { maxCommitTime: "1 second" }))
      )
      expect(exit).toMatchObject({ value: { _tag: "CommitUnknown" } })
      expect([aborts, ran]).toEqual([0, []])
    }))
})

describe("a body that commits by hand and starts another transaction", () => {
  const body = <A, E>(ran: Array<string>, second: Effect.Effect<A, E, MongoClient.MongoClient>) =>
    Effect.gen(function*() {
      ran.push("body")
      yield* bodyOf(ran)
      yield* Transaction.commit
      yield* Transaction.start()
      yield* second
    })

  it.scopedLive("is not run again when the other fails: the first is committed", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      yield* server.on("insert", (_, { count }) => count % 2 === 1 ? conflict : { n: 1 })
      const ran: Array<string> = []
      const error = yield* on(Effect.flip(Transaction.run(body(ran, insert))))
      expect(error).toMatchObject({ _tag: "MongoError", reason: "WriteConflict" })
      expect(ran).toEqual(["body", "onCommit"])
      expect(yield* server.named("commitTransaction")).toHaveLength(1)
    }))

  it.scopedLive("is doomed when it goes on after the failure of the other", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      yield* server.on("insert", (_, { count }) => count % 2 === 1 ? conflict : { n: 1 })
      const ran: Array<string> = []
      const error = yield* on(Effect.flip(Transaction.run(body(ran, Effect.ignore(insert)))))
      expect(error).toMatchObject({ _tag: "TransactionDoomed", first: { reason: "WriteConflict" } })
      expect(ran).toEqual(["body", "onCommit"])
    }))

  it.scopedLive("is not told that all is aborted when the commit of the other is", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      yield* server.on("commitTransaction", (_, { count }) =>
        count === 0 ? { ok: 1 } : { ...noSuch, errorLabels: ["TransientTransactionError"] })
      const ran: Array<string> = []
      const error = yield* on(Effect.flip(Transaction.run(body(ran, insert))))
      expect(error).toMatchObject({ _tag: "MongoError", reason: "NoSuchTransaction" })
      expect(ran).toEqual(["body", "onCommit"])
    }))
})
