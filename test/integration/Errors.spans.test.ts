// The ways fail with anything.
// @effect-diagnostics anyUnknownInErrorContext:off unsafeEffectTypeAssertion:off
import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, type Place } from "../support/transactions/transactions.js"

type Way = (place: Place) => Effect.Effect<unknown, unknown, MongoClient.MongoClient>

const Items = ({ items }: Place) => Collection.make(items.collectionName, { database: items.dbName })
const Texts = ({ items }: Place) =>
  Collection.make(items.collectionName, {
    database: items.dbName,
    schema: Schema.Struct({ _id: Schema.String })
  })

const twice = (place: Place) => Effect.repeatN(Items(place).insertOne({ _id: 1 }), 1)

const ways: Readonly<Record<string, Way>> = {
  "an operation without a session": twice,
  "an operation in a session": (place) => Session.scoped(twice(place)),
  "a use": ({ insert }) => Session.scoped(Effect.repeatN(insert(1), 1)),
  "a defect in a use": () => Session.scoped(Session.use(() => Promise.reject(new TypeError()))),
  "an operation in a transaction": (place) => Transaction.run(twice(place)),
  "an operation that is refused in a transaction": (place) =>
    Transaction.run(Items(place).insertOne({ _id: 1 }, { writeConcern: { w: "majority" } })),
  "an operation after a failure in a transaction": (place) =>
    Transaction.run(Effect.zipRight(Effect.ignore(twice(place)), Items(place).insertOne({ _id: 2 }))),
  "a transaction that is doomed": (place) => Transaction.run(Effect.ignore(twice(place))),
  "a transaction that is given up": ({ insert, transientOn }) =>
    Effect.scoped(Effect.zipRight(
      Effect.orDie(transientOn(["insert"], 9)) as Effect.Effect<void>,
      Transaction.run(insert(1), { retry: Schedule.stop })
    )),
  "a transaction that is refused": () => Transaction.run(Effect.void, { propagation: "mandatory" }),
  "a commit that is refused": ({ failing, insert }) =>
    Effect.scoped(Effect.zipRight(
      Effect.orDie(failing({ failCommands: ["commitTransaction"], errorCode: 13 })) as Effect.Effect<void>,
      Transaction.run(insert(1))
    )),
  "a transaction by hand that there is none of": () => Session.scoped(Transaction.commit),
  "a transaction by hand that there is already": () => Session.scoped(Effect.repeatN(Transaction.start(), 1)),
  "a session that is misconfigured": () => Session.scoped(Effect.void, { snapshot: true, causalConsistency: true }),
  "an operation of a session that has ended": ({ insert }) =>
    Effect.flatMap(Effect.scoped(Session.make()), (session) => Session.provide(insert(1), session)),
  "a document that does not decode": (place) =>
    Effect.zipRight(Items(place).insertOne({ _id: 1 }), Texts(place).findOne()),
  "a stream": (place) => Effect.zipRight(Items(place).insertOne({ _id: 1 }), Stream.runDrain(Texts(place).find())),
  "a stream's command": (place) => Stream.runDrain(Items(place).find({ $nonsense: 1 })),
  "an aggregate's command": (place) => Stream.runDrain(Items(place).aggregate([{ $nonsense: 1 }])),
  "a session command": ({ failing }) =>
    Effect.scoped(Effect.zipRight(
      Effect.orDie(failing({ failCommands: ["refreshSessions"], errorCode: 13 })) as Effect.Effect<void>,
      Session.scoped(Effect.flatMap(Session.Session, ({ id }) => SessionCommands.refreshSessions([id])))
    )),
  "a client": () =>
    Effect.scoped(MongoClient.make({
      url: Redacted.make("mongodb://127.0.0.1:1"),
      driver: { serverSelectionTimeoutMS: 50 }
    }))
}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a failure shows where in the program it was", () => {
    for (const [name, way] of Object.entries(ways)) {
      it.effect(name, () =>
        inPlace((place) =>
          Effect.gen(function*() {
            const exit = yield* Effect.exit(Effect.withSpan(way(place), "placeOrder"))
            expect(Exit.isFailure(exit)).toBe(true)
            if (Exit.isSuccess(exit)) return
            expect(Cause.pretty(exit.cause)).toMatch(/at placeOrder \(.*Errors\.spans\.test\.ts:\d+:\d+\)/)
          })
        ))
    }
  })
})
