// Read your writes, on secondaries: one of them is held back, so that whoever reads there without the header sees the past.
import { Deferred, Effect, Fiber, Option, Redacted, Schedule } from "effect"
import { MongoClient } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import { randomUUID } from "node:crypto"
import * as Http from "./http.js"
import { orderOf } from "./load.js"
import { claim } from "./report.js"
import * as Shop from "./shop.js"
import { until } from "./until.js"

const count = 24

const ask = (command: object) =>
  Effect.flatMap(MongoClient.MongoClient, ({ driver }) => Effect.tryPromise(() => driver.db("admin").command(command)))

/** The primary, if it is the member that the set prefers: then it stays. */
const settledPrimary = Effect.gen(function*() {
  const { primary } = yield* ask({ hello: 1 })
  const { config } = yield* ask({ replSetGetConfig: 1 })
  const members: ReadonlyArray<{ readonly host: string; readonly priority: number }> = config.members
  const most = Math.max(...members.map(({ priority }) => priority))
  return members.some(({ host, priority }) => host === primary && priority === most) ? String(primary) : undefined
})

/** A secondary stops to apply what the primary writes, until the scope closes. */
const holdBackSecondary = Effect.gen(function*() {
  const { members } = yield* MongoServer.MongoServer
  yield* until(Effect.map(settledPrimary, (primary) => primary !== undefined), "the preferred primary")
  const address = yield* settledPrimary
  const secondary = yield* Effect.fromNullable(members.find((member) => member.address !== address))
  const { driver } = yield* MongoClient.make({
    url: Redacted.make(`mongodb://${secondary.address}/?directConnection=true`)
  })
  const set = (mode: string) =>
    Effect.tryPromise(() => driver.db("admin").command({ configureFailPoint: "rsSyncApplyStop", mode }))
  yield* Effect.acquireRelease(set("alwaysOn"), () => Effect.orDie(set("off")))
})

const missed = (statuses: ReadonlyArray<number>) => statuses.filter((status) => status === 404).length

/** Places orders at one instance, and reads them at another. */
export const check = (writer: string, reader: string) =>
  Effect.gen(function*() {
    const { reads, withoutToken } = yield* Effect.scoped(Effect.gen(function*() {
      yield* holdBackSecondary
      const placed = yield* Effect.forEach(Shop.carts(count), (cart) => Http.order(writer, randomUUID(), cart), {
        concurrency: 8
      })
      const look = (answer: Http.Answer, token: string | undefined) =>
        Effect.map(Http.get(reader, `/orders/${Option.getOrThrow(orderOf(answer)).id}`, token), ({ status }) => status)
      // First, for of two the driver asks the one with less to do, which is not the one at which others wait. And until both
      // secondaries are asked: that one of them is back after the outage, an instance learns only after a while.
      const withoutToken: Array<number> = []
      yield* Effect.forEach(placed, (answer) => look(answer, undefined), { concurrency: 8 }).pipe(
        Effect.map((statuses) => void withoutToken.push(...statuses)),
        Effect.repeat({
          until: () => missed(withoutToken) > 0,
          schedule: Schedule.intersect(Schedule.spaced("100 millis"), Schedule.recurs(200))
        })
      )
      // They wait where the order is not there yet. When one has it, all were asked for; unless all wait at the same one.
      const found = yield* Deferred.make<void>()
      const reads = yield* Effect.fork(
        Effect.forEach(
          placed,
          (answer) => Effect.zipLeft(look(answer, answer.token), Deferred.succeed(found, undefined)),
          { concurrency: "unbounded" }
        )
      )
      yield* Effect.timeoutOption(Deferred.await(found), "5 seconds")
      return { reads, withoutToken }
    }))
    const withToken = yield* Fiber.join(reads)
    yield* claim(
      `${count} orders read at another instance while a secondary lags behind, without the header: of ${withoutToken.length} ` +
        `reads ${missed(withoutToken)} find nothing, so a stale read would be noticed`,
      missed(withoutToken) > 0
    )
    yield* claim(
      `the same with the header: ${withToken.filter((status) => status === 200).length} are found`,
      withToken.every((status) => status === 200)
    )
  })
