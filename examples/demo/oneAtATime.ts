/** Step 2: sends 20 operations from 8 fibers on one session. */
import { MongoClient, type Session } from "effect-mongo-session"
import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import type * as Driver from "mongodb"
import * as Monitor from "./Monitor.js"
import * as Screen from "./Screen.js"

const fibers = 8
const operations = Array.range(0, 19)

type Operation = (session: Driver.ClientSession) => Promise<unknown>

export const oneAtATime = (session: Session.Service) =>
  Effect.gen(function*() {
    yield* Screen.heading(`2. ${operations.length} operations from ${fibers} fibers run one at a time`)
    const { driver, database } = yield* MongoClient.MongoClient
    const orders = driver.db(database).collection("orders")
    yield* Effect.promise(() => orders.insertMany(Array.makeBy(6, (number) => ({ number }))))

    // Every third operation reads with a cursor, in several commands. Each is marked with the fiber that it comes from.
    const operation = (number: number): Operation => (session) => {
      const comment = fiberOf(number)
      return number % 3 === 2
        ? orders.find({}, { session, comment, batchSize: 2, limit: 6 }).toArray()
        : orders.insertOne({ number }, { session, comment })
    }
    const runAll = <E>(run: (operation: Operation) => Effect.Effect<unknown, E>) =>
      Effect.forEach(
        Object.values(Array.groupBy(operations, fiberOf)),
        (ofOneFiber) => Effect.forEach(ofOneFiber, (number) => run(operation(number)), { discard: true }),
        { concurrency: "unbounded", discard: true }
      ).pipe(Monitor.during, Effect.map(({ sent }) => sent))

    const raw = yield* Effect.acquireUseRelease(
      Effect.sync(() => driver.startSession()),
      (driverSession) => runAll((operation) => Effect.promise(() => operation(driverSession))),
      (driverSession) => Effect.promise(() => driverSession.endSession())
    )
    const ours = yield* runAll(session.use)

    const columns = (left: string, right: string) => `${left.padEnd(raw.length)}   ${right}`
    const atOnce = (sent: ReadonlyArray<Monitor.Command>) => `at most ${Monitor.mostAtOnce(sent)} at once`
    yield* Screen.fact("", columns("a session of the driver", "a session of this library"))
    for (const fiber of Array.dedupe(operations.map(fiberOf))) {
      yield* Screen.fact(fiber, columns(timeline(fiber, raw), timeline(fiber, ours)))
    }
    yield* Screen.fact("", columns(atOnce(raw), atOnce(ours)))
    yield* Screen.aside("From left to right the commands as they were sent; a bar is a fiber that waits for an answer.")
    yield* Screen.check(
      `all ${ours.length} commands of the ${operations.length} operations went out with the id of the session`,
      ours.length > operations.length && ours.every(({ lsid }) => lsid === session.id.hex)
    )
    yield* Screen.check("no two of them were on their way at the same time", Monitor.mostAtOnce(ours) === 1)
  })

const fiberOf = (number: number): string => `fiber ${number % fibers + 1}`

/** One character for each command that was sent: whether this fiber was waiting for an answer then. */
const timeline = (fiber: string, sent: ReadonlyArray<Monitor.Command>): string =>
  pipe(
    sent,
    Array.map(({ began }) =>
      sent.some((one) => one.comment === fiber && one.began <= began && began < one.ended) ? "█" : "·"
    ),
    Array.join("")
  )
