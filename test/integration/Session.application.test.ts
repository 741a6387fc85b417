import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as TestServer from "../support/server/testServer.js"

const requests = 20

/** Reads, and counts how many do so at once. With `together`, none is answered before all have begun. */
const counted = (together: boolean) => {
  const seen = { now: 0, most: 0 }
  let open = () => {}
  const allHaveBegun = new Promise<void>((resolve) => {
    open = resolve
  })
  const read = Effect.flatMap(MongoClient.MongoClient, ({ driver }) =>
    Session.use(async (session, signal) => {
      seen.most = Math.max(seen.most, ++seen.now)
      if (seen.now === requests) open()
      if (together) await allHaveBegun
      await driver.db().collection("requests").findOne({}, { session, signal })
      seen.now--
    }))
  return { seen, read }
}

const all = <E, R>(request: Effect.Effect<void, E, R>) =>
  Effect.all(Array.from({ length: requests }, () => request), { concurrency: "unbounded" })

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("The requests of an application", () => {
    it.effect("wait for each other in one session: one read is in flight at a time", () =>
      Effect.gen(function*() {
        const { read, seen } = counted(false)
        yield* all(read).pipe(Effect.provide(Session.layer()))
        expect(seen).toEqual({ now: 0, most: 1 })
      }).pipe(Effect.provide(MongoServer.clientOf())))

    it.effect("do not, with a session for each: all reads are in flight at once", () =>
      Effect.gen(function*() {
        const { read, seen } = counted(true)
        yield* all(Session.scoped(read))
        expect(seen).toEqual({ now: 0, most: requests })
      }).pipe(Effect.provide(MongoServer.clientOf())))
  })
})
