import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { MongoClient } from "mongodb"
import * as MongoServer from "../../../src/testing/MongoServer.js"
import * as TestServer from "../../support/server/testServer.js"

const states = Effect.flatMap(MongoServer.MongoServer, ({ url }) =>
  Effect.promise(async () => {
    const client = await new MongoClient(url, { readPreference: "primaryPreferred" }).connect()
    try {
      const { members } = await client.db("admin").command({ replSetGetStatus: 1 })
      return members.map(({ stateStr }: { readonly stateStr: string }) => stateStr).sort()
    } finally {
      await client.close()
    }
  }))

const whole = Effect.map(states, (all) => assert.deepStrictEqual(all, ["PRIMARY", "SECONDARY", "SECONDARY"]))

// a member whose process is stopped takes connections, for the system does that, and answers none
const answers = (address: string) =>
  Effect.promise(() =>
    MongoClient.connect(`mongodb://${address}/?directConnection=true`, {
      serverSelectionTimeoutMS: 300,
      connectTimeoutMS: 300
    }).then((client) => client.close().then(() => true), () => false)
  )

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a set of three", () => {
    it.effect("has three members, one of them primary", () =>
      Effect.gen(function*() {
        const { description, members, primary, url } = yield* MongoServer.MongoServer
        assert.lengthOf(members, 3)
        assert.match(description, /^MongoDB \d+\.\d+\.\d+, 3 members$/)
        for (const { address } of members) assert.include(url, address)
        assert.include(members.map(({ address }) => address), (yield* primary).address)
        yield* whole
      }))

    for (const deed of ["kill", "stop", "freeze"] as const) {
      it.effect(`elects another primary after a ${deed} of its primary, which the scope undoes`, () =>
        Effect.gen(function*() {
          const { primary } = yield* MongoServer.MongoServer
          const old = yield* primary
          yield* Effect.scoped(Effect.gen(function*() {
            yield* old[deed]
            assert.isFalse(yield* answers(old.address))
            const next = yield* primary
            assert.notStrictEqual(next.address, old.address)
          }))
          assert.isTrue(yield* answers(old.address))
          yield* whole
        }))
    }

    it.effect("lets its primary step down", () =>
      Effect.gen(function*() {
        const { primary, stepDown } = yield* MongoServer.MongoServer
        const old = yield* primary
        yield* Effect.scoped(Effect.gen(function*() {
          yield* stepDown
          assert.notStrictEqual((yield* primary).address, old.address)
        }))
        yield* whole
      }))

    it.effect("is whole again when two of three are gone, whatever ended the scope", () =>
      Effect.gen(function*() {
        const { members } = yield* MongoServer.MongoServer
        const exit = yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
          yield* Effect.forEach(members.slice(1), ({ kill }) => kill, { concurrency: "unbounded" })
          for (const { address } of members.slice(1)) assert.isFalse(yield* answers(address))
          return yield* Effect.fail("broken")
        })))
        assert.deepStrictEqual(exit, Exit.fail("broken"))
        yield* whole
      }))

    it.effect("has its members back before the scope closes, if they are restarted or thawed", () =>
      Effect.scoped(Effect.gen(function*() {
        const { members: [first, second] } = yield* MongoServer.MongoServer
        assert(first !== undefined && second !== undefined)
        yield* first.kill
        yield* first.restart
        assert.isTrue(yield* answers(first.address))
        yield* second.freeze
        yield* second.thaw
        assert.isTrue(yield* answers(second.address))
        yield* whole
      })))
  })
})
