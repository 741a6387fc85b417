/**
 * An outbox with its relay, and a consumer of a change stream: nothing that was committed is lost, its order is that of the
 * commits, and the consumer's work is done once for each.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as ChangeStream from "../../../src/ChangeStream.js"
import { raw } from "../../../src/Codec.js"
import * as Collection from "../../../src/Collection.js"
import * as Outbox from "../../../src/Outbox.js"
import { committed, firsts } from "../../support/data/committed.js"
import { until } from "../../support/watch/until.js"
import type { Violation } from "../checker/violation.js"
import * as Telling from "../telling.js"
import { clientOf, type Make, on, untilOver } from "../world.js"

/** Makes the workload, with so many fibers, the last two of which relay and consume. */
export const make = (fibers: number): Make => (world) =>
  Effect.gen(function*() {
    const { calm, database, dice, tally } = world
    const db = calm.db(database)
    for (const name of ["orders", "handled"]) yield* Effect.promise(() => db.createCollection(name))
    const Orders = Collection.make("orders", { database })
    const Handled = Collection.make("handled", { database })
    const Letters = Outbox.make("letters", { database })
    const told = new Map<number, Telling.Told>()
    const delivered: Array<string> = []
    let next = 0
    const countOf = (name: string) => Effect.promise(() => db.collection(name).countDocuments())

    // What is still in flight when the round is over is to be delivered and handled, too.
    let publishers = fibers - 2
    const publishing = (fiber: number) => {
      const choice = dice(4, fiber)
      const once = Effect.suspend(() => {
        const _id = next++
        return Telling.transaction(world, {
          what: "outbox",
          ...Telling.whims(choice),
          body: Effect.zipRight(Letters.publish({ n: _id }), Orders.insertOne({ _id })),
          note: (one) => void told.set(_id, one)
        })
      })
      return on(clientOf(world, fiber))(untilOver(world, Effect.zipRight(Effect.sleep(choice.between(5, 60)), once)))
        .pipe(
          Effect.ensuring(Effect.sync(() => void publishers--))
        )
    }
    // Until all has been delivered, however often it has failed.
    const started = <E, R>(what: string, run: Effect.Effect<unknown, E, R>, isDone: Effect.Effect<boolean>) =>
      Effect.raceFirst(
        Effect.exit(run).pipe(
          Effect.map((exit) => tally.add(`${what}: ${Telling.nameOf(world, what, exit)}`)),
          Effect.zipRight(Effect.sleep("50 millis")),
          Effect.forever
        ),
        Effect.repeat(Effect.delay(isDone, "200 millis"), { until: (isDone) => isDone })
      )
    const done = (count: Effect.Effect<boolean>) =>
      Effect.suspend(() => publishers === 0 ? count : Effect.succeed(false))
    const relaying = started(
      "relay",
      Stream.runDrain(Letters.relay(({ id }) => Effect.sync(() => void delivered.push(id)), { batch: 10 })),
      done(Effect.map(countOf("effect_mongo_session.outbox.letters"), (left) => left === 0))
    )
    const consuming = started(
      "consumer",
      ChangeStream.watch({ database, collection: "orders" }, raw).pipe(
        ChangeStream.consume(
          "consumer",
          (event) => Handled.insertOne({ of: "documentKey" in event ? event.documentKey["_id"] : undefined }),
          { batch: 10 }
        )
      ),
      done(Effect.zipWith(countOf("orders"), countOf("handled"), (orders, handled) => handled >= orders))
    )
    // What is written before it notes where it begins is not its business.
    const consumerFiber = on(clientOf(world, 1))(consuming)
    const places = db.collection("effect_mongo_session.checkpoints")
    const begun = Effect.promise(() =>
      places.countDocuments({ $or: [{ token: { $exists: true } }, { time: { $exists: true } }] })
    )
    const noted = until(begun, (count) => count > 0, "60 seconds")
    return {
      name: "outbox and consumer",
      fibers: [
        ...Array.from({ length: fibers - 2 }, (_, fiber) => Effect.zipRight(noted, publishing(fiber))),
        on(clientOf(world, 0))(relaying),
        Effect.asVoid(consumerFiber)
      ],
      check: Effect.gen(function*() {
        const violations: Array<Violation> = []
        const violated = (anomaly: string, detail: string) => void violations.push({ anomaly, detail })
        const order = yield* committed(calm, database, "letters")
        const first = firsts(delivered)
        const wrong = order.findIndex((id, index) => first[index] !== id)
        if (wrong !== -1 || first.length !== order.length) {
          violated("delivery", `${order.length} committed, ${first.length} delivered, not the same from ${wrong} on`)
        }
        const orders = yield* Effect.promise(() => db.collection<{ _id: number }>("orders").find().toArray())
        const there = new Set(orders.map(({ _id }) => _id))
        if (there.size !== order.length) violated("torn apart", `${there.size} orders, ${order.length} letters`)
        for (const [_id, { outcome, why }] of told) {
          if (outcome === "unknown") tally.add(`outbox: unknown, found ${there.has(_id) ? "" : "not "}committed`)
          else if (there.has(_id) !== (outcome === "committed")) {
            violated("outcome", `order ${_id}: told ${outcome} (${why})`)
          }
        }
        const handled = yield* Effect.promise(() => db.collection("handled").find().sort({ $natural: 1 }).toArray())
        const works = handled.map(({ of }) => Number(of))
        const all = new Set(works)
        if (works.length !== all.size) violated("exactly once", `${works.length - all.size} handled again`)
        const missing = [...there].filter((_id) => !all.has(_id))
        if (missing.length > 0) violated("exactly once", `not handled: ${missing.join(", ")}`)
        tally.add("outbox: delivered", delivered.length)
        tally.add("consumer: handled", works.length)
        return violations
      })
    }
  })
