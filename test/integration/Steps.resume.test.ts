import { describe, expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Steps from "../../src/Steps.js"
import { live } from "../../src/testing/internal/live.js"
import { onKeys, type Place } from "../support/once/keys.js"
import * as TestServer from "../support/server/testServer.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  /** Workflows that could not be ended. */
  const unfinished = ({ database }: Place, ...ids: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const Numbering = Steps.make("numbering", { database, version: 1 })
      for (const id of ids) {
        expect(yield* Effect.flip(Numbering.run(id, (step) => step("one", Effect.fail("later"))))).toBe("later")
      }
      const ran: Array<string> = []
      const body = (step: Steps.Step, id: string) =>
        Effect.zipRight(
          Effect.sync(() => void ran.push(id)),
          step("one", Effect.succeed(id), { result: Schema.String })
        )
      return { Numbering, body, ran }
    })

  /** The transaction of a step that nobody ends: its process is frozen. */
  const open = ({ client, database }: Place, id: string) =>
    Effect.acquireRelease(
      Effect.promise(async () => {
        const session = client.driver.startSession()
        session.startTransaction()
        await client.driver.db(database).collection<{ _id: string }>("effect_mongo_session.steps")
          .updateOne({ _id: `numbering/${id}` }, { $inc: { effect_mongo_session: 1 } }, { session })
        return session
      }),
      (session) => Effect.promise(() => session.endSession())
    )

  describe("taking up unfinished workflows", () => {
    it.effect("fails in an outage, for nobody knows then whether a step is open elsewhere", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { Numbering, body, ran } = yield* unfinished(place, "a", "b")
          // All after the first command, by which the workflows are found.
          const outage = place.failing({
            failCommands: ["find", "findAndModify"],
            mode: { skip: 1 },
            blockFor: "10 seconds"
          })
          const failed = Effect.flip(Effect.scoped(Effect.zipRight(outage, Numbering.resume(body))))
          expect(yield* failed).toMatchObject({ _tag: "MongoError", reason: "TimedOut", operation: "findOneAndUpdate" })
          expect(ran).toEqual([])
        }))
      ))

    it.effect("waits for a majority as long as any acquisition, for that is no step that is open", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { Numbering, body } = yield* unfinished(place, "a")
          yield* place.monitor.clear
          const resumed = yield* Effect.scoped(Effect.gen(function*() {
            yield* place.failing({ failCommands: ["findAndModify"], blockFor: "3 seconds" })
            const resuming = yield* Effect.fork(Numbering.resume(body))
            yield* place.monitor.awaitStarted("findAndModify")
            const [acquisition] = yield* place.monitor.named("findAndModify")
            const holder = /"\$holder","([^"]+)"/.exec(JSON.stringify(acquisition?.command["update"]))?.[1]
            expect(holder).toBeDefined()
            // The primary has it at once. Only the answer is late.
            yield* Effect.promise(() =>
              place.client.driver.db(place.database).collection<{ _id: string }>("effect_mongo_session.steps")
                .updateOne({ _id: "numbering/a" }, { $set: { holder, expiresAt: new Date(Date.now() + 60_000) } })
            )
            return yield* Fiber.join(resuming)
          }))
          expect(resumed).toMatchObject([{ id: "a", exit: { _tag: "Success", value: "a" } }])
        }))
      ))

    it.effect("leaves alone those that another process has ended meanwhile", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { Numbering, body, ran } = yield* unfinished(place, "a", "b", "c")
          const others = (step: Steps.Step, id: string) =>
            Effect.zipRight(
              id === "a" ? place.onOther(Effect.orDie(Numbering.run("b", body))) : Effect.void,
              body(step, id)
            )
          expect(yield* Numbering.resume(others)).toMatchObject([
            { id: "a", exit: { _tag: "Success", value: "a" } },
            { id: "c", exit: { _tag: "Success", value: "c" } }
          ])
          expect(ran).toEqual(["b", "a", "c"])
        }))
      ))

    it.effect("leaves alone one that has a step open elsewhere, and does not wait for it for long", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { Numbering, body, ran } = yield* unfinished(place, "a", "b")
          const [time, resumed] = yield* Effect.timed(Effect.scoped(
            Effect.zipRight(open(place, "a"), Numbering.resume(body))
          ))
          expect(resumed).toMatchObject([{ id: "b", exit: { _tag: "Success" } }])
          expect(Duration.toMillis(time)).toBeLessThan(6000)
          expect(ran).toEqual(["b"])
          expect(yield* Numbering.resume(body)).toMatchObject([{ id: "a", exit: { _tag: "Success" } }])
        }))
      ))

    it.effect("ends where one can't be taken up, with how the others have ended, or with that failure", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const { Numbering, body } = yield* unfinished(place, "a", "b")
          const failing = place.failing({ failCommands: ["findAndModify"], mode: "alwaysOn", errorCode: 13 })
          const thenFailing = (step: Steps.Step, id: string) => Effect.zipLeft(body(step, id), Effect.orDie(failing))
          yield* Effect.scoped(Effect.gen(function*() {
            expect(yield* Numbering.resume(thenFailing)).toMatchObject([{ id: "a", exit: { _tag: "Success" } }])
            expect(yield* Effect.flip(Numbering.resume(body))).toMatchObject({ reason: "Unauthorized" })
          }))
          expect(yield* Numbering.resume(body)).toMatchObject([{ id: "b", exit: { _tag: "Success" } }])
        }))
      ))
  })
})
