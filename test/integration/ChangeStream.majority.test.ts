import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as ChangeStream from "../../src/ChangeStream.js"
import * as Outbox from "../../src/Outbox.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { on, sent } from "../support/data/collections.js"
import { consuming, untilEffects } from "../support/data/consumers.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

// A failover rolls back what only the primary has, and a stream that has gone on does not come back to it.
layer(TestServer.layer, { excludeTestServices: true })((it) => {
  const onWeakClient = <A, E, R>(test: (watched: Monitor.Watched) => Effect.Effect<A, E, R>) =>
    Monitor.withClient({ driver: { writeConcern: { w: 1 } } }, (watched) => on(watched)(test(watched)))

  /** The write concerns of all that notes something for good: of commits, and of writes outside of transactions. */
  const concerns = ({ monitor }: Monitor.Watched, collections: ReadonlyArray<string>) =>
    Effect.map(monitor.commands, (commands) =>
      commands.flatMap(({ command, name }) =>
        name === "commitTransaction" ||
          ["update", "delete", "findAndModify"].includes(name) && collections.includes(command[name]) &&
            command["autocommit"] === undefined
          ? [`${name} ${command["writeConcern"]?.["w"]}`]
          : []
      ))

  describe("on a client whose writes only the primary acknowledges", () => {
    for (
      const [where, transaction] of [
        ["with no options of its own", undefined],
        ["with other options of its own", { writeConcern: { journal: true } }],
        ["if it says so itself", { writeConcern: "majority" }]
      ] as const
    ) {
      it.effect(`a consumer commits with a majority, ${where}`, () =>
        onWeakClient((watched) =>
          Effect.gen(function*() {
            const { changes, effects, handler, put, start } = yield* consuming(watched)
            yield* start(ChangeStream.consume(changes, "consumer", handler, { transaction }))
            yield* put(1, 2)
            expect(yield* untilEffects(effects, 2)).toEqual([1, 2])
            const found = yield* concerns(watched, ["effect_mongo_session.checkpoints"])
            expect(found.filter((concern) => concern.startsWith("commitTransaction"))).toHaveLength(2)
            expect(found.filter((concern) => !concern.endsWith("majority"))).toEqual([])
          })
        ))
    }

    it.effect("a consumer in a session with weaker transactions commits with a majority, also what it sets aside", () =>
      onWeakClient((watched) =>
        Effect.gen(function*() {
          const { changes, put, start } = yield* consuming(watched)
          const session = yield* Monitor.session(watched, { defaultTransactionOptions: { writeConcern: 1 } })
          const consumer = ChangeStream.consume(changes, "consumer", () => Effect.fail("no"), { onPoison: "setAside" })
          yield* start(Session.provide(consumer, session))
          yield* put(1)
          yield* watched.monitor.awaitStarted("commitTransaction")
          const found = yield* concerns(watched, ["effect_mongo_session.checkpoints"])
          expect(found).toContain("commitTransaction majority")
          expect(found.filter((concern) => !concern.endsWith("majority"))).toEqual([])
        })
      ))

    it.effect("a relay notes with a majority what it has delivered and set aside", () =>
      onWeakClient((watched) =>
        Effect.gen(function*() {
          const database = yield* TestServer.database
          const Numbers = Outbox.make("numbers", { database })
          yield* Transaction.run(Numbers.publishAll([{ n: 1 }, { n: 2 }]), { writeConcern: "majority" })
          yield* watched.monitor.clear
          yield* Stream.runDrain(
            Numbers.relay(({ message }) => message["n"] === 1 ? Effect.fail("no") : Effect.void, {
              onPoison: "setAside",
              poll: Schedule.stop
            })
          )
          const found = yield* concerns(watched, [
            "effect_mongo_session.outboxes",
            "effect_mongo_session.deadLetters"
          ])
          expect(found).toContain("commitTransaction majority")
          expect(found.filter((concern) => !concern.endsWith("majority"))).toEqual([])
        })
      ))
  })

  describe("a consumer whose transactions would have a weaker write concern", () => {
    it.effect("is refused, before anything is sent", () =>
      onWeakClient((watched) =>
        Effect.gen(function*() {
          const { changes, handler } = yield* consuming(watched)
          for (const writeConcern of [1, 3, "twoRacks", { w: 1 }, { w: "majority", journal: false }]) {
            // @ts-expect-error the compiler refuses them, too
            const transaction: ChangeStream.ConsumeOptions["transaction"] = { writeConcern }
            expect(
              yield* Effect.flip(ChangeStream.consume(changes, "consumer", handler, { transaction }))
            ).toMatchObject({ _tag: "SessionMisconfigured", issues: [{ path: ["transaction", "writeConcern"] }] })
          }
          expect(yield* sent(watched)).toEqual([])
        })
      ))
  })
})
