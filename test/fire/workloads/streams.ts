/**
 * Change streams, which two clients follow without missing or repeating anything, and cursors, which give each document once.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as ChangeStream from "../../../src/ChangeStream.js"
import { raw } from "../../../src/Codec.js"
import * as Collection from "../../../src/Collection.js"
import type * as ResumeToken from "../../../src/ResumeToken.js"
import * as Session from "../../../src/Session.js"
import { until } from "../../support/watch/until.js"
import type { Violation } from "../checker/violation.js"
import * as Telling from "../telling.js"
import { clientOf, type Make, on, untilOver } from "../world.js"

const rows = 300

/** Makes the workload: two who write, two who follow, and so many who read by cursors. */
export const make = (readers: number): Make => (world) =>
  Effect.gen(function*() {
    const { calm, database, dice, isOver, tally, violated } = world
    const db = calm.db(database)
    yield* Effect.promise(() => db.createCollection("events"))
    yield* Effect.promise(() =>
      db.collection<{ _id: number }>("rows").insertMany(Array.from({ length: rows }, (_, _id) => ({ _id })))
    )
    const Events = Collection.make("events", { database })
    const Rows = Collection.make("rows", { database })
    const told = new Set<number>()
    let next = 0
    let writers = 2
    const writing = (fiber: number) =>
      on(clientOf(world, fiber))(untilOver(
        world,
        Effect.suspend(() => {
          const _id = next++
          return Effect.map(Effect.exit(Events.insertOne({ _id })), (exit) => {
            const name = Telling.nameOf(world, "events", exit)
            tally.add(`events, insert: ${name}`)
            if (name === "success") told.add(_id)
          })
        }).pipe(Effect.zipLeft(Effect.sleep("30 millis")))
      )).pipe(Effect.ensuring(Effect.sync(() => void writers--)))

    const followers = [0, 1].map((number) => {
      const seen: Array<number> = []
      let last: ResumeToken.ResumeToken | undefined
      let isOpen = false
      const stream = ChangeStream.watch({ database, collection: "events" }, raw)
      const follow = Effect.suspend(() =>
        Effect.scoped(Effect.flatMap(
          ChangeStream.opened(last === undefined ? stream : ChangeStream.after(stream, last)),
          (events) => {
            isOpen = true
            return Stream.runForEach(events, (event) =>
              Effect.sync(() => {
                last = event.resumeToken
                if (event._tag === "insert") seen.push(Number(event.documentKey["_id"]))
              }))
          }
        ))
      )
      const all = Effect.promise(() => db.collection("events").countDocuments())
      // What was begun before the round was over may be written after it.
      const isDone = Effect.suspend(() =>
        isOver() && writers === 0 ? Effect.map(all, (count) => seen.length >= count) : Effect.succeed(false)
      )
      const run = Effect.raceFirst(
        Effect.exit(follow).pipe(
          Effect.map((exit) => tally.add(`events, follower: ${Telling.nameOf(world, "follower", exit)}`)),
          Effect.zipRight(Effect.sleep("50 millis")),
          Effect.forever
        ),
        Effect.repeat(Effect.delay(isDone, "200 millis"), { until: (isDone) => isDone })
      )
      return { seen, isOpen: () => isOpen, run: Effect.asVoid(on(clientOf(world, number))(run)) }
    })
    const bothOpen = until(Effect.sync(() => followers.every(({ isOpen }) => isOpen())), (open) => open, "60 seconds")

    const reading = (fiber: number) => {
      const choice = dice(5, fiber)
      const once = Effect.suspend(() => {
        const find = Rows.find({}, { batchSize: choice.between(5, 50), sort: { _id: 1 } })
        const read = Stream.runCollect(Stream.map(find, ({ _id }) => Number(_id)))
        return Effect.map(Effect.exit(choice.chance(0.5) ? Session.scoped(read) : read), (exit) => {
          tally.add(`cursor: ${Telling.nameOf(world, "cursor", exit)}`)
          if (exit._tag === "Success" && ![...exit.value].every((_id, index) => _id === index)) {
            violated("cursor", `${exit.value.length} of ${rows} rows, or not in order`)
          }
        })
      })
      return on(clientOf(world, fiber))(untilOver(world, Effect.zipLeft(once, Effect.sleep("50 millis"))))
    }
    return {
      name: "change streams and cursors",
      fibers: [
        ...[0, 1].map((fiber) => Effect.zipRight(bothOpen, writing(fiber))),
        ...followers.map(({ run }) => run),
        ...Array.from({ length: readers }, (_, fiber) => reading(fiber))
      ],
      check: Effect.map(
        Effect.promise(() => db.collection<{ _id: number }>("events").find().toArray()),
        (found) => {
          const there = new Set(found.map(({ _id }) => _id))
          const violations: Array<Violation> = [...told].flatMap((_id) =>
            there.has(_id) ? [] : [{ anomaly: "lost", detail: `event ${_id}` }]
          )
          for (const { seen } of followers) {
            const once = new Set(seen)
            const missed = [...there].filter((_id) => !once.has(_id))
            if (once.size !== seen.length || missed.length > 0) {
              violations.push({
                anomaly: "followed",
                detail: `${seen.length - once.size} again, missed: ${missed.join(", ")}`
              })
            }
          }
          const [one, other] = followers
          if (one!.seen.join() !== other!.seen.join()) {
            violations.push({ anomaly: "followed", detail: "two followers have seen two orders" })
          }
          tally.add("events: followed", one!.seen.length)
          return violations
        }
      )
    }
  })
