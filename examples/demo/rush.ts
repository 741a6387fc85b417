/** Part 2: all fibers check out at the same time, and now and then the answer to a commit is lost. */
import { MongoClient, Session } from "effect-mongo-session"
import * as FailPoint from "effect-mongo-session/testing/FailPoint"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import { type Cart, checkout } from "./checkout.js"
import { appName } from "./client.js"
import * as Screen from "./Screen.js"
import * as Shop from "./shop.js"
import { Tally } from "./Tally.js"

interface Trouble {
  /** How many checkouts must have ended before it begins. */
  readonly after: number
  readonly what: string
  readonly how: Pick<FailPoint.Options, "closeConnection" | "writeConcernError">
}

const troubles: ReadonlyArray<Trouble> = [
  {
    after: 800,
    what: "the connection breaks, and there is no answer",
    how: { closeConnection: true }
  },
  {
    after: 1_600,
    what: "the answer is that it is written, but perhaps not on enough members",
    how: {
      writeConcernError: { code: 64, codeName: "WriteConcernFailed", errmsg: "waiting for replication timed out" }
    }
  },
  {
    after: 2_400,
    what: "the answer is that nobody can tell, and to ask again is of no use",
    how: { writeConcernError: { code: 100, codeName: "UnsatisfiableWriteConcern", errmsg: "not enough members" } }
  }
]

const timesEach = 3

/** How many answers to commits get lost, where the server can be told to lose them. */
export const lostAnswers = Effect.map(
  MongoServer.MongoServer,
  ({ features }) => features.failCommand ? troubles.length * timesEach : 0
)

/** Serves all customers, and tells how long that took. */
export const rush = Effect.gen(function*() {
  yield* Screen.heading(`2. ${Shop.fibers} fibers check out, ${Shop.checkoutsEach} times each`)
  if ((yield* lostAnswers) === 0) yield* Screen.aside("This server has no fail points, so all commits are answered.")
  // One for each fiber. They stay open until the demo releases everything.
  const sessions = yield* Effect.replicateEffect(Session.make(), Shop.fibers)
  const [time] = yield* Effect.timed(
    Effect.forEach(
      Array.zip(yield* Shop.carts, sessions),
      ([carts, session]) => Effect.forEach(carts, serve, { discard: true }).pipe(Session.provide(session)),
      { concurrency: "unbounded", discard: true }
    )
  )
  yield* Screen.keep
  return time
})

const serve = (cart: Cart) =>
  checkout(cart).pipe(
    Effect.match({ onFailure: ({ _tag }): string => _tag, onSuccess: () => "ordered" }),
    Effect.flatMap(ended)
  )

const ended = (how: string) =>
  Effect.gen(function*() {
    const { done, retries } = yield* Effect.flatMap(Tally, (tally) => tally.ended(how))
    if (done % (yield* Screen.pick({ terminal: 40, pipe: 400 })) === 0) yield* progress(done, retries.length)
    yield* Effect.forEach(troubles.filter(({ after }) => after === done), begin, { discard: true })
  })

const begin = ({ how, what }: Trouble) =>
  Effect.gen(function*() {
    if ((yield* lostAnswers) === 0) return
    const { driver } = yield* MongoClient.MongoClient
    yield* Screen.keep
    yield* Screen.say(`The next ${timesEach} commits get into trouble: ${what}.`)
    const mode = { times: timesEach }
    yield* FailPoint.failCommand(driver, { failCommands: ["commitTransaction"], mode, appName, ...how })
  })

const progress = (done: number, retries: number) => {
  const bar = Math.round(done / Shop.checkouts * 20)
  return Screen.rewrite(
    `${"█".repeat(bar)}${"·".repeat(20 - bar)}  ${Screen.count(done).padStart(5)} checkouts, ` +
      `${Screen.count(retries).padStart(5)} retries`
  )
}
