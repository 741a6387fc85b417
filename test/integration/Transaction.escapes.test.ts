// The ways fail with anything, and two of them go around the compiler on purpose.
// @effect-diagnostics anyUnknownInErrorContext:off unsafeEffectTypeAssertion:off
import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as MongoClients from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace } from "../support/transactions/transactions.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("law 21: what must run inside a transaction", () => {
    // The compiler refuses all of these; a program that goes around it finds no transaction there.
    type Escape = (
      effect: Effect.Effect<void, unknown, Session.Session | Transaction.Transaction>,
      other: Session.Service
    ) => Effect.Effect<void, unknown, MongoClients.MongoClient | Session.TransactionOfThatSession>
    const escapes: Readonly<Record<string, Escape>> = {
      "Session.scoped": (effect) => Session.scoped(effect),
      "Session.provide": (effect, other) => Session.provide(effect, other),
      "Session.detached": (effect, other) =>
        (Session.detached as (_: unknown) => Effect.Effect<void>)(Effect.provideService(effect, Session.Session, other))
    }
    for (const [name, escape] of Object.entries(escapes)) {
      it.effect(`finds none in ${name}`, () =>
        inPlace(({ insert, stored }) =>
          Effect.gen(function*() {
            const other = yield* Session.make()
            const place = Effect.zipRight(Transaction.Transaction, insert(1))
            const escaped = escape(place, other) as Effect.Effect<void, unknown, MongoClients.MongoClient>
            const exit = yield* Effect.exit(Transaction.run(escaped))
            expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
            expect(yield* stored).toEqual([])
          }).pipe(Effect.scoped)
        ))
    }

    it.effect("finds that of the session that it is given back", () =>
      inPlace(({ insert, stored }) =>
        Effect.gen(function*() {
          const attempts = yield* Transaction.run(Effect.gen(function*() {
            const outer = yield* Session.Session
            const found = Effect.map(Transaction.Transaction, ({ attempt }) => attempt)
            const back = Session.provide(Effect.zipLeft(found, insert(1)), outer)
            return yield* Session.scoped(back as Effect.Effect<number, never>)
          }))
          expect(attempts).toBe(1)
          expect(yield* stored).toEqual([1])
        })
      ))
  })

  describe("a session that is opened inside a transaction of its client", () => {
    it.effect("is warned of, with the hint; one that ensures a session joins", () =>
      inPlace(({ insert, stored }) =>
        Effect.gen(function*() {
          const told = yield* logged((entries) =>
            Effect.gen(function*() {
              yield* Effect.exit(
                Transaction.run(Effect.all([Session.scoped(insert(1)), Session.ensure(insert(2)), Effect.fail("no")]))
              )
              yield* Session.ensure(insert(3))
              return entries
            })
          )
          expect(yield* stored).toEqual([1, 3])
          expect(told.map(({ message }) => message)).toEqual([Telemetry.messages.leftTransaction])
          expect(told[0]?.annotations["hint"]).toContain("Session.ensure")
        })
      ))

    it.effect("for another client it is not warned of", () =>
      inPlace(({ insert, client }) =>
        Effect.gen(function*() {
          class Other extends MongoClients.Tag("Other")<Other>() {}
          const told = yield* logged((entries) =>
            Effect.as(
              Transaction.run(Effect.zipRight(insert(1), Session.scoped(Effect.void, { client: Other }))),
              entries
            ).pipe(
              Effect.provideService(Other, { ...client, driver: Object.create(client.driver) })
            )
          )
          expect(told).toEqual([])
        })
      ))
  })

  describe("an operation after the body has ended its transaction by hand", () => {
    it.effect("takes effect at once, which is told in the log, once", () =>
      inPlace(({ insert, stored }) =>
        Effect.gen(function*() {
          const told = yield* logged((entries) =>
            Effect.as(Transaction.run(Effect.all([insert(1), Transaction.abort, insert(2), insert(3)])), entries)
          )
          expect(told.map(({ message }) => message)).toEqual([Telemetry.messages.afterEnd])
          expect(told[0]?.annotations).toMatchObject({ operation: "use", attempt: 1 })
          expect(yield* stored).toEqual([2, 3])
        })
      ))
  })

  describe("a service method", () => {
    it.effect("that ensures a session is its own transaction alone, and a part when composed", () =>
      inPlace(({ insert, stored }) =>
        Effect.gen(function*() {
          const method = (n: number) => insert(n).pipe(Transaction.run(), Session.ensure())
          yield* method(1)
          yield* Effect.exit(Transaction.run(Effect.zipRight(method(2), Effect.fail("no"))))
          expect(yield* stored).toEqual([1])
        })
      ))
  })

  describe("a sandbox keeps nothing", () => {
    const ways: Readonly<
      Record<
        string,
        (
          insert: Effect.Effect<void, unknown, Session.Session>,
          other: Session.Service
        ) => Effect.Effect<unknown, unknown, MongoClients.MongoClient | Session.Session>
      >
    > = {
      "of a session that is opened in it": (insert) => Session.scoped(insert),
      "of a transaction in a session that is opened in it": (insert) =>
        insert.pipe(Transaction.run(), Session.scoped()),
      "of a transaction of its own": (insert) => Transaction.run(insert, { propagation: "requiresNew" }),
      "of another session": (insert, other) => Session.provide(insert, other),
      "of a transaction in another session": (insert, other) => insert.pipe(Transaction.run(), Session.provide(other)),
      "after an abort by hand": (insert) => Effect.zipRight(Transaction.abort, Effect.ignore(insert))
    }
    for (const [name, way] of Object.entries(ways)) {
      it.effect(name, () =>
        inPlace(({ count, insert, stored }) =>
          Effect.gen(function*() {
            const other = yield* Session.make()
            const seen = yield* Transaction.sandbox(
              Effect.zipRight(insert(1), Effect.zipRight(way(insert(2), other), Effect.either(count)))
            )
            if (!name.includes("abort")) expect(seen.value).toMatchObject({ right: 2 })
            expect(yield* stored).toEqual([])
          }).pipe(Effect.scoped)
        ))
    }
  })
})
