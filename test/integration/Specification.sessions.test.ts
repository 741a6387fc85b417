/**
 * What the specification "Driver Sessions" asks for in words, in its sections "Prose tests" and "Server session pool".
 *
 * Left out: several users on one connection and forked processes, neither of which the driver has.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import { Long } from "mongodb"
import { CausalToken } from "../../src/CausalToken.js"
import * as Collection from "../../src/Collection.js"
import * as Session from "../../src/Session.js"
import { on } from "../support/data/collections.js"
import { clientOf, connected, ping, send } from "../support/server/connected.js"
import * as Responder from "../support/server/responder.js"

const Things = Collection.make("things", { database: "test" })

const open = { cursor: { firstBatch: [{ _id: 1 }, { _id: 2 }], id: Long.fromNumber(7), ns: "test.things" } }

const lsidsOf = (seen: ReadonlyArray<Responder.Received>) => seen.map(({ command }) => Responder.lsidOf(command))

/** Names and sessions of all commands. */
const sent = (server: Responder.Responder) =>
  Effect.map(
    server.commands,
    (seen) => seen.map(({ command, name }) => [name, Responder.lsidOf(command)])
  )

describe("the pool of server sessions", () => {
  it.scoped("lends the one first that was given back last", () =>
    Effect.gen(function*() {
      const { open } = yield* connected()
      const [first, second] = yield* Effect.scoped(Effect.gen(function*() {
        const first = yield* open()
        // Ended before the other, which is opened in an inner scope.
        const second = yield* Effect.scoped(Effect.map(open(), ({ id }) => id.hex))
        return [first.id.hex, second]
      }))
      expect(second).not.toBe(first)
      const again = yield* Effect.all([open(), open()])
      expect(again.map(({ id }) => id.hex)).toEqual([first, second])
    }))

  it.scoped("lends one to operations without a session only for as long as they have a connection", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({}, { driver: { maxPoolSize: 1 } })
      yield* Effect.replicateEffect(Things.findOne(), 8, { concurrency: "unbounded" }).pipe(on({ client }))
      const lsids = lsidsOf(yield* server.named("find"))
      expect(lsids).toHaveLength(8)
      // The next operation may get the connection just before the last one has given its session back.
      expect(new Set(lsids).size).toBeLessThanOrEqual(2)
    }))

  for (const [name, handlers] of [["at once", {}], ["with its second batch", { find: open }]] as const) {
    it.scoped(`has a session back from a cursor that comes to its end ${name}, before that is closed`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* connected({ handlers })
        const next = Effect.zipRight(Things.countDocuments(), Effect.never)
        const read = Stream.concat(Things.find(), Stream.fromEffect(next)).pipe(Stream.runDrain, on({ client }))
        yield* Effect.fork(read)
        yield* server.awaitCommand("aggregate")
        expect(new Set(lsidsOf(yield* server.commands)).size).toBe(1)
      }))
  }

  it.scoped("is emptied at the client's end: all ids that it has are ended on the server, each once", () =>
    Effect.gen(function*() {
      const server = yield* Responder.make()
      const ids = yield* Effect.scoped(Effect.gen(function*() {
        const { client, open } = yield* clientOf(server)
        const sessions = yield* Effect.scoped(Effect.all([open(), open(), open()]))
        yield* Effect.scoped(Effect.flatMap(open(), ping))
        yield* Things.findOne().pipe(on({ client }))
        return sessions.map(({ id }) => id.hex)
      }))
      // The driver does not wait for its answer.
      const { command } = yield* server.awaitCommand("endSessions")
      const ended = command["endSessions"] as ReadonlyArray<Driver.ServerSessionId>
      expect(ended.map(({ id }) => Buffer.from(id.buffer).toString("hex")).sort()).toEqual([...ids].sort())
    }))
})

describe("the session of a command", () => {
  it.scoped("is the one that it is run in, for every operation; outside of it another", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected()
      const session = yield* open()
      const all = Effect.all([
        Things.findOne(),
        Things.insertOne({ _id: 1 }),
        Things.updateOne({}, { $set: { a: 1 } }),
        Things.deleteOne({}),
        Things.countDocuments(),
        Things.distinct("a"),
        Things.findOneAndDelete({})
      ])
      yield* Session.provide(all, session).pipe(on({ client }))
      expect(lsidsOf(yield* server.commands)).toEqual(Array(7).fill(session.id.hex))
      yield* server.clear
      yield* all.pipe(on({ client }))
      const outside = lsidsOf(yield* server.commands)
      expect(outside.every((lsid) => lsid !== undefined && lsid !== session.id.hex)).toBe(true)
    }))

  for (const where of ["in a session", "without one"] as const) {
    it.scoped(`that opened a cursor ${where} is that of its getMore`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* connected({ handlers: { find: open } })
        const read = Stream.runCollect(Things.find())
        const rows = yield* (where === "in a session" ? Session.scoped(read) : read).pipe(on({ client }))
        expect(Chunk.size(rows)).toBe(2)
        const [[, lsid]] = (yield* sent(server)) as [[string, string]]
        expect(yield* sent(server)).toEqual([["find", lsid], ["getMore", lsid]])
        expect(lsid).toBeTypeOf("string")
      }))

    it.scoped(`that opened a cursor ${where} is that of its killCursors`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* connected({ handlers: { find: open } })
        const read = Stream.runDrain(Stream.take(Things.find(), 1))
        yield* (where === "in a session" ? Session.scoped(read) : read).pipe(on({ client }))
        const [[, lsid]] = (yield* sent(server)) as [[string, string]]
        expect(yield* sent(server)).toEqual([["find", lsid], ["killCursors", lsid]])
        expect(lsid).toBeTypeOf("string")
      }))
  }

  it.scoped("is none for an unacknowledged write, which is refused in a session", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const write = Things.insertOne({}, { writeConcern: { w: 0 } })
      expect(yield* Session.scoped(write).pipe(on({ client }), Effect.flip))
        .toMatchObject({ _tag: "UnacknowledgedWrite", operation: "insertOne" })
      expect(yield* server.commands).toEqual([])
      yield* write.pipe(on({ client }))
      const { command } = yield* server.awaitCommand("insert")
      expect(command).not.toHaveProperty("lsid")
    }))

  it.scoped("is none on a deployment without sessions, where asking for one fails", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected({ hello: { logicalSessionTimeoutMinutes: undefined } })
      yield* Effect.zipRight(Things.findOne(), Things.insertOne({})).pipe(on({ client }))
      expect(lsidsOf(yield* server.commands)).toEqual([undefined, undefined])
      expect(yield* Effect.flip(open())).toMatchObject({ _tag: "SessionsUnsupported" })
    }))

  it.scoped("is refused where it belongs to another client, before anything is sent", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected()
      const other = yield* connected()
      const session = yield* open()
      expect(yield* Things.findOne().pipe(Session.provide(session), on(other), Effect.flip))
        .toMatchObject({ _tag: "ForeignSession", operation: "findOne" })
      expect([...yield* server.commands, ...yield* other.server.commands]).toEqual([])
    }))

  it.scoped("is refused where it has ended: for operations, cursors, and cursors that are half read; nothing is sent", () =>
    Effect.gen(function*() {
      const { client, open: acquire, server } = yield* connected({ handlers: { find: open } })
      const scope = yield* Scope.make()
      const session = yield* Scope.extend(acquire(), scope)
      const inSession = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        effect.pipe(Session.provide(session), on({ client }))
      const pull = yield* inSession(Stream.toPull(Things.find()))
      expect(Chunk.size(yield* inSession(pull))).toBe(2)
      yield* Scope.close(scope, Exit.void)
      yield* server.clear
      const ended = { _tag: "SessionEnded", reason: "released" }
      expect(yield* Effect.flip(inSession(Things.insertOne({})))).toMatchObject(ended)
      expect(yield* Effect.flip(inSession(Stream.runDrain(Things.find())))).toMatchObject(ended)
      expect(yield* Effect.flip(inSession(pull))).toEqual(Option.some(expect.objectContaining(ended)))
      expect(yield* server.commands).toEqual([])
    }))
})

describe("the cluster time", () => {
  const timeOf = ({ command }: Responder.Received): bigint | undefined =>
    command["$clusterTime"]?.clusterTime.toBigInt()
  const seenBy = (session: Session.Service) =>
    Effect.map(session.clusterTime, (time) => Option.getOrThrow(time).clusterTime.toBigInt())

  for (
    const command of [{ ping: 1 }, { aggregate: 1, pipeline: [], cursor: {} }, { find: "a" }, {
      insert: "a",
      documents: [{}]
    }]
  ) {
    const [name] = Object.keys(command)

    it.scoped(`that the last reply told goes with the next command, whatever its session: ${name}`, () =>
      Effect.gen(function*() {
        const { open, server } = yield* connected()
        const [one, other] = yield* Effect.all([open(), open()])
        yield* send(one, command)
        const told = yield* seenBy(one)
        yield* send(other, command)
        const [, second] = yield* server.named(name!)
        expect(timeOf(second!)).toBe(told)
        expect(yield* seenBy(other)).toBeGreaterThan(told)
      }))
  }

  it.scoped("of a session that was told a later one goes with its commands, and not with those of others", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected()
      const [one, other] = yield* Effect.all([open(), open()])
      yield* ping(one)
      const time = (yield* seenBy(one)) + (1n << 40n)
      yield* one.advanceTo(
        new CausalToken({
          operationTime: Option.none(),
          clusterTime: Option.some({ time, hash: new Uint8Array(20), keyId: 0n })
        })
      )
      yield* ping(one)
      yield* ping(other)
      const [, ofOne, ofOther] = yield* server.named("ping")
      expect(timeOf(ofOne!)).toBe(time)
      expect(timeOf(ofOther!)).toBeLessThan(time)
      expect(yield* seenBy(one)).toBe(time)
    }))
})
