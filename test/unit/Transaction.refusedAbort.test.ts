/**
 * What becomes of a transaction whose abort the server refuses, of which the driver tells nothing.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as Collection from "../../src/Collection.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { clientWith, lostCommit } from "../support/server/connected.js"

const Things = Collection.make("things")
const insert = Things.insertOne({})

const client = clientWith()

type Server = Effect.Effect.Success<typeof client>["server"]

const refusal = (code: number, codeName: string) => ({ ok: 0, code, codeName, errmsg: "refused" })

const notPermitted = refusal(13, "Unauthorized")

const byHand = Effect.zipRight(Transaction.start(), Effect.zipRight(insert, Transaction.abort))

const namesOf = (server: Server) =>
  Effect.map(server.commands, (all) => all.map(({ name }) => name).filter((name) => name !== "endSessions"))

const ways: ReadonlyArray<readonly [string, Session.Options]> = [
  ["", {}],
  [" in a session without causal consistency", { causalConsistency: false }]
]

describe("an abort that is refused", () => {
  for (const [where, options] of ways) {
    it.scoped(`is sent again${where}`, () =>
      Effect.gen(function*() {
        const { on, server } = yield* client
        yield* server.on("abortTransaction", (_, { count }) => count === 0 ? notPermitted : {})
        yield* on(Session.scoped(byHand, options))
        expect(yield* namesOf(server)).toEqual(["insert", "abortTransaction"])
        yield* TestClock.adjust("1 second")
        const again = yield* server.awaitCommand("abortTransaction", 2)
        const first = yield* server.awaitCommand("insert")
        expect(again.command).toMatchObject({ lsid: first.command["lsid"], txnNumber: first.command["txnNumber"] })
        yield* TestClock.adjust("1 minute")
        expect(yield* namesOf(server)).toEqual(["insert", "abortTransaction", "abortTransaction"])
      }))
  }

  it.scoped("again has its session killed", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      yield* server.on("abortTransaction", notPermitted)
      yield* on(Effect.flip(Transaction.run(Effect.zipRight(insert, Effect.fail("enough")))))
      yield* TestClock.adjust("1 second")
      const { command } = yield* server.awaitCommand("killSessions")
      const first = yield* server.awaitCommand("insert")
      expect(command["killSessions"]).toEqual([first.command["lsid"]])
      yield* TestClock.adjust("1 minute")
      expect(yield* namesOf(server)).toEqual(["insert", "abortTransaction", "abortTransaction", "killSessions"])
    }))

  it.scoped("is not sent again where another transaction has begun in the session", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      yield* server.on("abortTransaction", (_, { count }) => count === 0 ? notPermitted : {})
      yield* on(Session.scoped(Effect.gen(function*() {
        yield* byHand
        yield* Transaction.run(insert)
        yield* TestClock.adjust("1 minute")
      })))
      expect(yield* namesOf(server)).toEqual(["insert", "abortTransaction", "insert", "commitTransaction"])
    }))

  it.scoped("keeps its server session from all others", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      yield* server.on("abortTransaction", notPermitted)
      yield* on(Effect.flip(Transaction.run(Effect.zipRight(insert, Effect.fail("enough")))))
      yield* on(Session.scoped(insert))
      const [first, second] = yield* server.named("insert")
      expect(second?.command["lsid"]).not.toEqual(first?.command["lsid"])
    }))

  for (
    const [what, reply] of [
      ["the server knows no such transaction", refusal(251, "NoSuchTransaction")],
      ["the server knows a later one", refusal(225, "TransactionTooOld")],
      ["it is committed", refusal(256, "TransactionCommitted")],
      ["it is done, and not replicated in time", { ok: 1, writeConcernError: { code: 64, errmsg: "waiting" } }]
    ] as const
  ) {
    it.scoped(`is taken for done where ${what}`, () =>
      Effect.gen(function*() {
        const { on, server } = yield* client
        yield* server.on("abortTransaction", reply)
        yield* on(Session.scoped(byHand))
        yield* TestClock.adjust("1 minute")
        yield* on(Session.scoped(insert))
        expect(yield* namesOf(server)).toEqual(["insert", "abortTransaction", "insert"])
        const [first, second] = yield* server.named("insert")
        expect(second?.command["lsid"]).toEqual(first?.command["lsid"])
      }))
  }

  it.scoped("by a server that shuts down, also when the driver has repeated it, is sent again", () =>
    Effect.gen(function*() {
      const { on, server } = yield* client
      yield* server.on("abortTransaction", (_, { count }) => count < 2 ? lostCommit : {})
      yield* on(Session.scoped(byHand))
      yield* TestClock.adjust("1 second")
      yield* server.awaitCommand("abortTransaction", 3)
      yield* TestClock.adjust("1 minute")
      expect(yield* server.named("abortTransaction")).toHaveLength(3)
      expect(yield* server.named("killSessions")).toEqual([])
    }))
})
