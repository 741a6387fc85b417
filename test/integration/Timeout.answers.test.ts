/**
 * Answers that come when nobody waits for them any more. Drivers whose own `timeoutMS` works give them to whoever asks next
 * (CVE-2026-119179); the deadlines of this library must never lead there.
 */
import { expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Document } from "mongodb"
import { randomUUID } from "node:crypto"
import * as Collection from "../../src/Collection.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import * as Proxy from "../support/server/proxy.js"
import * as TestServer from "../support/server/testServer.js"

interface Secret {
  readonly _id: number
  readonly secret: string
}

const calls = 400

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  it.scoped("after a time limit no connection has an answer left that belongs to somebody else", () =>
    Effect.gen(function*() {
      const { url } = yield* MongoServer.MongoServer
      const database = yield* TestServer.database
      const direct = yield* TestServer.driver()
      const secrets = Array.from({ length: calls }, (_, _id) => ({ _id, secret: randomUUID() }))
      yield* Effect.promise(() => direct.db(database).collection<Secret>("secrets").insertMany(secrets))

      const proxy = yield* Proxy.make(Number(new URL(url).port))
      const client = yield* MongoClient.make({
        url: Redacted.make(`mongodb://127.0.0.1:${proxy.port}/?directConnection=true`),
        database,
        // The heartbeats measure how long a round trip takes at least.
        driver: { maxPoolSize: 1, heartbeatFrequencyMS: 500 }
      })
      // Around the short time limits, so that these run out before, while and after a command is under way.
      yield* proxy.slow(() => 1 + Math.random() * 3)

      const Secrets = Collection.make("secrets")
      const told = new Map<number, unknown>()
      let overdue = 0
      const ask = (_id: number) => {
        // Whoever has time is given what was left for somebody else.
        const timeout = Math.random() < 0.4 ? Duration.seconds(5) : Duration.millis(2 + Math.random() * 10)
        const read = Secrets.findOne({ _id })
        const raw = Session.use((session) =>
          client.driver.db(database).collection<Secret>("secrets").findOne({ _id }, { session })
        )
        const ways: ReadonlyArray<Effect.Effect<Document | null, { readonly _tag: string }, MongoClient.MongoClient>> =
          [
            Session.scoped(Effect.map(read, Option.getOrNull), { timeout }),
            Session.scoped(raw, { timeout }),
            Transaction.run(Effect.map(read, Option.getOrNull), { timeout }),
            read.pipe(Effect.map(Option.getOrNull), Effect.timeout(timeout))
          ]
        return Effect.map(Effect.either(ways[_id % 4]!), (answer) => {
          if (Either.isLeft(answer)) overdue++
          else told.set(_id, answer.right?.["secret"])
        })
      }
      yield* Effect.forEach(secrets, ({ _id }) => ask(_id), { concurrency: 4, discard: true }).pipe(
        Effect.provideService(MongoClient.MongoClient, client)
      )

      const wrong = [...told].filter(([_id, secret]) => secret !== secrets[_id]!.secret)
      expect(wrong).toEqual([])
      // Some had their answer and some did not: the test has met both.
      expect(told.size).toBeGreaterThan(10)
      expect(overdue).toBeGreaterThan(10)
    }))
})
