/**
 * What the specification "Causal Consistency" asks for in words, in its section "Test Plan", number by number.
 *
 * The eleventh and twelfth hold for all commands, with or without causal consistency.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import * as Session from "../../src/Session.js"
import { on } from "../support/data/collections.js"
import { connected } from "../support/server/connected.js"
import { readConcerns } from "../support/server/faults.js"
import type * as Responder from "../support/server/responder.js"

const Things = Collection.make("things", { database: "test" })

const refusal = { ok: 0, code: 2, codeName: "BadValue", errmsg: "no" }

const standalone = { hello: { setName: undefined } }

/** Runs a test in a session of a scripted server. */
const inSession = <A, E, R>(
  test: (session: Session.Service, server: Responder.Responder) => Effect.Effect<A, E, R>,
  options: { readonly server?: Responder.Options; readonly session?: Session.Options } = {}
) =>
  Effect.gen(function*() {
    const { client, open, server } = yield* connected(options.server)
    const session = yield* open(options.session)
    return yield* test(session, server).pipe(Session.provide(session), on({ client }))
  })

const operationTime = (session: Session.Service) => Effect.map(session.operationTime, Option.getOrThrow)

const reads = [
  ["find", Stream.runDrain(Things.find())],
  ["aggregate", Effect.asVoid(Things.countDocuments())],
  ["distinct", Effect.asVoid(Things.distinct("a"))]
] as const

const writes = [
  ["insert", Effect.asVoid(Things.insertOne({}))],
  ["update", Effect.asVoid(Things.updateMany({}, { $set: { a: 1 } }))],
  ["delete", Effect.asVoid(Things.deleteMany({}))],
  ["findAndModify", Effect.asVoid(Things.findOneAndUpdate({}, { $set: { a: 1 } }))]
] as const

describe("causal consistency", () => {
  it.scoped("1: a session that was just opened has no operation time", () =>
    inSession((session) =>
      Effect.gen(function*() {
        expect(yield* session.operationTime).toEqual(Option.none())
      })
    ))

  for (const [name, read] of reads) {
    it.scoped(`2: the first read asks for no time: ${name}`, () =>
      inSession((_, server) =>
        Effect.gen(function*() {
          yield* read
          expect(yield* readConcerns(server, name)).toEqual([undefined])
        })
      ))
  }

  for (const causalConsistency of [true, false]) {
    for (const [name, operation] of [...reads, ...writes]) {
      it.scoped(`3: any reply tells the time, one with an error as well, causal consistency ${causalConsistency}: ${name}`, () =>
        inSession((session, server) =>
          Effect.gen(function*() {
            yield* operation
            const answered = yield* operationTime(session)
            yield* server.on(name, refusal)
            yield* Effect.flip(operation)
            expect((yield* operationTime(session)).greaterThan(answered)).toBe(true)
          }), { session: { causalConsistency } }))
    }
  }

  for (const [name, read] of reads) {
    it.scoped(`4: a read after a read asks for the time of that: ${name}`, () =>
      inSession((session, server) =>
        Effect.gen(function*() {
          yield* Things.findOne()
          const time = yield* operationTime(session)
          yield* read
          expect((yield* readConcerns(server, name)).at(-1)).toEqual({ afterClusterTime: time })
        })
      ))
  }

  for (const [name, write] of writes) {
    for (const outcome of ["done", "refused"] as const) {
      it.scoped(`5: a read after a write asks for the time of that, be it done or not: ${name}, ${outcome}`, () =>
        inSession((session, server) =>
          Effect.gen(function*() {
            if (outcome === "refused") yield* server.on(name, refusal)
            yield* Effect.exit(write)
            const time = yield* operationTime(session)
            yield* Things.findOne()
            expect(yield* readConcerns(server, "find")).toEqual([{ afterClusterTime: time }])
          })
        ))
    }
  }

  it.scoped("6: a read in a session without causal consistency asks for no time", () =>
    inSession((_, server) =>
      Effect.gen(function*() {
        yield* Things.insertOne({})
        for (const [, read] of reads) yield* Effect.zipRight(read, read)
        for (const [name] of reads) expect(yield* readConcerns(server, name)).toEqual([undefined, undefined])
      }), { session: { causalConsistency: false } }))

  it.scoped("7: a read asks for no time on a deployment that has none", () =>
    inSession((session, server) =>
      Effect.gen(function*() {
        yield* Things.insertOne({})
        for (const [, read] of reads) yield* Effect.zipRight(read, read)
        for (const [name] of reads) expect(yield* readConcerns(server, name)).toEqual([undefined, undefined])
        expect(yield* session.operationTime).toEqual(Option.none())
      }), { server: standalone }))

  it.scoped("8: where no read concern is set, a read asks for the time and for no level", () =>
    inSession((session, server) =>
      Effect.gen(function*() {
        yield* Things.findOne()
        const time = yield* operationTime(session)
        yield* Things.findOne()
        expect((yield* readConcerns(server, "find")).at(-1)).toStrictEqual({ afterClusterTime: time })
      })
    ))

  it.scoped("9: where a read concern is set, a read asks for its level and the time", () =>
    inSession((session, server) =>
      Effect.gen(function*() {
        const Majority = Things.withReadConcern("majority")
        yield* Majority.findOne()
        const time = yield* operationTime(session)
        yield* Majority.findOne()
        expect(yield* readConcerns(server, "find")).toEqual([
          { level: "majority" },
          { level: "majority", afterClusterTime: time }
        ])
      })
    ))

  it.scoped("10: an unacknowledged write leaves the operation time as it is: it is refused", () =>
    inSession((session, server) =>
      Effect.gen(function*() {
        yield* Things.findOne()
        const time = yield* session.operationTime
        const write = Things.insertOne({}, { writeConcern: { w: 0 } })
        expect(yield* Effect.flip(write)).toMatchObject({ _tag: "UnacknowledgedWrite" })
        expect(yield* session.operationTime).toEqual(time)
        expect(yield* server.named("insert")).toEqual([])
      })
    ))

  for (const [number, name, server] of [[11, "no", standalone], [12, "the", {}]] as const) {
    it.scoped(`${number}: commands carry ${name} cluster time on a deployment that has ${number === 11 ? "none" : "one"}`, () =>
      inSession((_, server) =>
        Effect.gen(function*() {
          yield* Effect.zipRight(Things.findOne(), Things.insertOne({}))
          yield* Session.detached(Effect.zipRight(Things.findOne(), Things.insertOne({})))
          const commands = yield* server.commands
          expect(commands.map(({ command }) => "$clusterTime" in command)).toEqual(Array(4).fill(number === 12))
        }), { server }))
  }
})
