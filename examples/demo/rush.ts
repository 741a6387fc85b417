/** Part 2: all fibers check out at the same time. Now and then the answer to a commit is lost, and once the primary is. */
import { MongoClient, Session } from "effect-mongo-session"
import * as FailPoint from "effect-mongo-session/testing/FailPoint"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { type Cart, checkout } from "./checkout.js"
import { appName } from "./client.js"
import * as Outage from "./outage.js"
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
    after: Math.round(Shop.checkouts / 8),
    what: "the connection breaks, and there is no answer",
    how: { closeConnection: true }
  },
  {
    after: Math.round(Shop.checkouts * 2 / 8),
    what: "the answer is that it is written, but perhaps not on enough members",
    how: {
      writeConcernError: { code: 64, codeName: "WriteConcernFailed", errmsg: "waiting for replication timed out" }
    }
  },
  {
    after: Math.round(Shop.checkouts * 3 / 8),
    what: "the answer is that nobody can tell, and to ask again is of no use",
    how: { writeConcernError: { code: 100, codeName: "UnsatisfiableWriteConcern", errmsg: "not enough members" } }
  }
]

const timesEach = 3

/** How many answers to commits get lost on purpose, where the server can be told to lose them. */
export const lostOnPurpose = Effect.map(
  MongoServer.MongoServer,
  ({ features }) => features.failCommand ? troubles.length * timesEach : 0
)

/** Serves all customers, and tells how long that took and what came of the outage. */
export const rush = Effect.gen(function*() {
  yield* Screen.heading(`2. ${Shop.fibers} fibers check out, ${Shop.checkoutsEach} times each`)
  if ((yield* lostOnPurpose) === 0) {
    yield* Screen.aside("This server has no fail points, so no answer is lost on purpose.")
  }
  // One for each fiber. They stay open until the demo releases everything.
  const sessions = yield* Effect.replicateEffect(Session.make(), Shop.fibers)
  const interval = yield* Screen.pick({ terminal: "100 millis", pipe: "2 seconds" } as const)
  const drawing = yield* Effect.fork(Effect.forever(Effect.delay(progress, interval)))
  // However long it takes to begin the outage, some customers come after that.
  const outageBegun = yield* Effect.makeLatch()
  const serveInTurn = (cart: Cart, index: number) =>
    Effect.zipRight(Effect.when(outageBegun.await, () => index >= Shop.checkoutsEach * 3 / 4), serve(cart))
  const serving = Effect.forEach(
    Array.zip(yield* Shop.carts, sessions),
    ([carts, session]) => Effect.forEach(carts, serveInTurn, { discard: true }).pipe(Session.provide(session)),
    { concurrency: "unbounded", discard: true }
  )
  const [[time], outage] = yield* Effect.all([Effect.timed(serving), Outage.happen(outageBegun)], {
    concurrency: "unbounded"
  })
  yield* Fiber.interrupt(drawing)
  yield* progress
  yield* Screen.keep
  return { time, outage }
})

const serve = (cart: Cart) =>
  Effect.gen(function*() {
    const tally = yield* Tally
    const how = yield* checkout(cart).pipe(
      Effect.match({ onFailure: ({ _tag }): string => _tag, onSuccess: () => "ordered" })
    )
    yield* tally.ended(cart.order, how)
    const { told } = yield* tally.now
    const done = told.size
    yield* Effect.forEach(troubles.filter(({ after }) => after === done), begin, { discard: true })
  })

const begin = ({ how, what }: Trouble) =>
  Effect.gen(function*() {
    if ((yield* lostOnPurpose) === 0) return
    const { driver } = yield* MongoClient.MongoClient
    yield* Screen.say(`The next ${timesEach} commits get into trouble: ${what}.`)
    const mode = { times: timesEach }
    yield* FailPoint.failCommand(driver, { failCommands: ["commitTransaction"], mode, appName, ...how })
  })

const progress = Effect.gen(function*() {
  const { downSince, retries, told } = yield* Effect.flatMap(Tally, ({ now }) => now)
  const bar = Math.round(told.size / Shop.checkouts * 20)
  const down = downSince === undefined ? "" : `, no primary for ${Screen.seconds(performance.now() - downSince)}`
  yield* Screen.rewrite(
    `${"█".repeat(bar)}${"·".repeat(20 - bar)}  ${Screen.count(told.size).padStart(5)} checkouts, ` +
      `${Screen.count(retries.length).padStart(5)} retries${down}`
  )
})
