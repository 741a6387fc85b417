/**
 * Reads one document repeatedly in one session.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import type { ClientSession, MongoClient } from "mongodb"
import { Collection, Session } from "../library.js"
import { type Arms, bare, guarded, ours, Person, raw, type Scene } from "../scene.js"
import { operation } from "./guarded.js"

const people = Collection.make("people")
const typed = Collection.make("people", { schema: Person })

const decode = Schema.decodeUnknown(Person)

const filter = () => ({ _id: 1 })

const collectionOf = (driver: MongoClient) => driver.db().collection<{ readonly _id: number }>("people")

// A promise of the driver's, by a client of the arm's own.
const finding = (driver: MongoClient) => {
  const collection = collectionOf(driver)
  return (session: ClientSession) => collection.findOne(filter(), { session })
}

const rawArms = (scene: Scene) => raw(scene, 1, finding)

export const findOne: Arms = (scene) =>
  Effect.gen(function*() {
    const collection = collectionOf(scene.client.driver)
    return [
      ...rawArms(scene),
      bare(scene, "bare", 1, (driver) => {
        const find = finding(driver)
        return (session) => Effect.promise(() => find(session))
      }),
      guarded(scene, 1, (driver) => {
        const collection = collectionOf(driver)
        return (session) => operation(session, (options) => collection.findOne(filter(), options))
      }),
      bare(scene, "bare with schema", 1, (driver) => {
        const find = finding(driver)
        return (session) => Effect.flatMap(Effect.promise(() => find(session)), decode)
      }),
      yield* ours(scene, "ours", 1, () => people.findOne(filter())),
      yield* ours(scene, "with schema", 1, () => typed.findOne(filter())),
      yield* ours(scene, "Session.use", 1, () => Session.use((session) => collection.findOne(filter(), { session })))
    ]
  })

// As many as ours has.
const attributes = {
  "db.system.name": "mongodb",
  "db.namespace": "test",
  "db.operation.name": "findOne",
  "db.collection.name": "people",
  "server.address": "localhost",
  "server.port": 1,
  "session": "1"
}

export const traced: Arms = (scene) =>
  Effect.gen(function*() {
    const native = yield* Effect.tracer
    // Its spans are Effect's own, but it is not the tracer that is there when none is installed.
    const tracer = Tracer.make({
      span: (...args) => native.span(...args),
      context: (execute, fiber) => native.context(execute, fiber)
    })
    const run: Scene["run"] = (effect) => scene.run(Effect.withTracer(effect, tracer))
    const traced = { ...scene, run }
    return [
      ...rawArms(scene),
      bare(traced, "bare", 1, (driver) => {
        const find = finding(driver)
        return (session) =>
          Effect.withSpan(Effect.promise(() => find(session)), "findOne people", {
            captureStackTrace: false,
            kind: "client",
            attributes
          })
      }),
      yield* ours(traced, "ours", 1, () => people.findOne(filter()))
    ]
  })
