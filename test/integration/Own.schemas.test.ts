import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Once from "../../src/Once.js"
import * as Outbox from "../../src/Outbox.js"
import * as Steps from "../../src/Steps.js"
import { live } from "../../src/testing/internal/live.js"
import * as Transaction from "../../src/Transaction.js"
import { onKeys } from "../support/once/keys.js"
import * as TestServer from "../support/server/testServer.js"

/** As a `Model.Class` is: the database makes the id, so that what is inserted has none. */
const User = Object.assign(Schema.Struct({ id: Schema.Number, name: Schema.String }), {
  insert: Schema.Struct({ name: Schema.String })
})
const ada = { id: 1, name: "ada" }

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a value whose schema has a variant `insert` comes back whole from the library's own collections:", () => {
    it.effect("as what an effect that is run once has succeeded with, or failed with", () =>
      onKeys(({ database }) =>
        Effect.gen(function*() {
          const Doing = Once.make("doing", { database, result: User, failure: User })
          for (const effect of [Effect.succeed(ada), Effect.die("runs again")]) {
            expect(yield* Doing.run("succeeding", effect)).toEqual(ada)
          }
          for (const effect of [Effect.fail(ada), Effect.die("runs again")]) {
            expect(yield* Effect.flip(Doing.run("failing", effect))).toEqual(ada)
          }
        })
      ))

    it.effect("as the result of a step, or its failure", () =>
      onKeys(({ database }) =>
        live(Effect.gen(function*() {
          const Doing = Steps.make("doing", { database, version: 1 })
          for (const effect of [Effect.succeed(ada), Effect.die("runs again")]) {
            expect(yield* Doing.run("succeeding", (step) => step("one", effect, { result: User }))).toEqual(ada)
          }
          for (const effect of [Effect.fail(ada), Effect.die("runs again")]) {
            expect(
              yield* Effect.flip(Doing.run("failing", (step) => step("one", Effect.asVoid(effect), { failure: User })))
            ).toEqual(ada)
          }
        }))
      ))

    it.effect("as a message, which is set aside, listed, published again and delivered", () =>
      onKeys(({ database }) =>
        Effect.gen(function*() {
          const Users = Outbox.make("users", { database, schema: User })
          const id = yield* Transaction.run(Users.publish(ada))
          const relay = (outcome: Effect.Effect<void, string>) =>
            Stream.runCollect(Users.relay(() => outcome, { onPoison: "setAside", poll: Schedule.stop }))
          yield* relay(Effect.fail("no"))
          const letters = yield* Stream.runCollect(Users.deadLetters.list)
          expect(Chunk.toReadonlyArray(letters)).toMatchObject([{ id, message: ada }])
          yield* Users.deadLetters.retry(id)
          expect(Chunk.toReadonlyArray(yield* relay(Effect.void))).toMatchObject([{ id, message: ada }])
        })
      ))
  })
})
