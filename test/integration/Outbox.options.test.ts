import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Outbox from "../../src/Outbox.js"
import * as Transaction from "../../src/Transaction.js"
import { onClient, sent } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  /** What is wrong with all that an outbox does; nothing may be sent for that. */
  const refusals = (name: string, options: object = {}) =>
    onClient((watched) =>
      Effect.gen(function*() {
        const database = yield* TestServer.database
        const { deadLetters, pending, publish, publishAll, relay } = Outbox.make(name, { database, ...options })
        const relayed = Stream.runDrain(relay(() => Effect.void))
        yield* watched.monitor.clear
        const found = yield* Effect.forEach([
          Effect.asVoid(Transaction.run(publish({ n: 1 }))),
          Effect.asVoid(Transaction.run(publishAll([]))),
          Effect.asVoid(relayed),
          Effect.asVoid(pending),
          Stream.runDrain(deadLetters.list),
          Effect.asVoid(deadLetters.drop("id")),
          Effect.asVoid(deadLetters.retry("id"))
        ], (refused) =>
          Effect.map(
            Effect.flip(refused),
            (error) => "issues" in error ? error.issues.map(({ path }) => path.join(".")) : error
          ))
        expect(yield* sent(watched)).toEqual([])
        return found
      })
    )

  describe("an outbox is refused with all that is wrong, whatever it does, before anything is sent:", () => {
    const cases: ReadonlyArray<readonly [string, string, object, ReadonlyArray<string>]> = [
      ["no name", "", {}, ["name"]],
      ["a name that is that of the relay of another outbox", "a/relay", {}, ["name"]],
      ["a name with half a surrogate pair", "a\ud800", {}, ["name"]],
      ["a name that is too long", "a".repeat(1025), {}, ["name"]],
      ["collections that are none, and a misspelled option", "a", { collection: "", seqence: true }, [
        "collection",
        "seqence"
      ]],
      ["a collection that is not for the messages alone", "a", { collection: "b", stateCollection: "b" }, [
        "collection"
      ]],
      ["the collection of all outboxes for its messages", "a", { collection: "effect_mongo_session.outboxes" }, [
        "collection"
      ]],
      ["the collection of its messages for its state", "a", { stateCollection: "effect_mongo_session.outbox.a" }, [
        "collection"
      ]],
      ["names that no server takes", "a", { collection: ".a", stateCollection: "a$b", deadLetterCollection: "a\0b" }, [
        "collection",
        "deadLetterCollection",
        "stateCollection"
      ]],
      ["a database that no server has", "a", { database: "a.b" }, ["database"]],
      ["a name of which no collection's can be made", "a$b", {}, ["name"]],
      ["a name that makes the collection's too long", "a".repeat(220), { database: "b".repeat(8) }, ["name"]],
      ["a collection whose name is too long", "a", { collection: "ä".repeat(125), database: "b".repeat(8) }, [
        "collection"
      ]]
    ]
    for (const [what, name, options, paths] of cases) {
      it.effect(what, () =>
        Effect.gen(function*() {
          for (const found of yield* refusals(name, options)) {
            expect([...new Set(found as Array<string>)].sort()).toEqual(paths)
          }
        }))
    }
  })

  it.effect("a relay is refused with what is wrong with its outbox and with itself", () =>
    onClient(() =>
      Effect.gen(function*() {
        const Wrong = Outbox.make("a/b")
        const error = yield* Effect.flip(Stream.runDrain(Wrong.relay(() => Effect.void, { batch: 0 })))
        expect("issues" in error && error.issues.map(({ path }) => path.join("."))).toEqual(["name", "batch"])
      })
    ))
})
