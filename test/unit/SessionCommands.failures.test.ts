import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { Document } from "mongodb"
import { Binary, Double, Int32, Long, UUID } from "mongodb"
import * as MongoClient from "../../src/MongoClient.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import { DecodeFailed } from "../../src/SessionErrors.js"
import {
  batch,
  commands,
  idAt,
  ids,
  listings,
  nobody,
  refused,
  secret,
  session,
  setUp,
  transaction
} from "../support/data/sessionCommands.js"
import { logged } from "../support/server/connected.js"
import type * as Responder from "../support/server/responder.js"

describe("SessionCommands: failures", () => {
  it.scoped.each(commands)(
    "%s without the privilege is Unauthorized, and does not tell the server's words",
    ([name, command]) =>
      Effect.gen(function*() {
        const { run } = yield* setUp({ [name]: refused })
        const error = yield* Effect.flip(Effect.asVoid(run(command)))
        expect(error).toMatchObject({ _tag: "MongoError", reason: "Unauthorized", operation: name, namespace: "admin" })
        expect(error.message).not.toContain(secret)
      })
  )

  it.scoped.each(listings)(
    "%s without the privilege is Unauthorized, and does not tell the server's words",
    ([name, stream]) =>
      Effect.gen(function*() {
        const { run } = yield* setUp({ aggregate: refused })
        const error = yield* Effect.flip(run(Stream.runDrain(stream)))
        expect(error).toMatchObject({ _tag: "MongoError", reason: "Unauthorized", operation: name })
        expect(error.message).not.toContain(secret)
      })
  )

  const uuid = new UUID()

  const malformedStarts: ReadonlyArray<readonly [what: string, reply: Document]> = [
    ["nothing in it", {}],
    ["an id that is text", { id: secret, timeoutMinutes: 30 }],
    ["an id that holds text", { id: { id: secret }, timeoutMinutes: 30 }],
    ["an id of 15 bytes", { id: { id: new Binary(new Uint8Array(15), Binary.SUBTYPE_UUID) }, timeoutMinutes: 30 }],
    ["an id that is no UUID", { id: { id: new Binary(uuid.buffer, 0) }, timeoutMinutes: 30 }],
    ["an id that pretends to be binary", { id: { id: { type: "Binary", sub_type: 4 } }, timeoutMinutes: 30 }],
    ["no timeout", { id: { id: uuid } }],
    ["a timeout that is text", { id: { id: uuid }, timeoutMinutes: secret }],
    ["a timeout that looks like a number", { id: { id: uuid }, timeoutMinutes: "30" }],
    ["a timeout of nothing", { id: { id: uuid }, timeoutMinutes: 0 }],
    ["a timeout below zero", { id: { id: uuid }, timeoutMinutes: -30 }],
    ["half a minute", { id: { id: uuid }, timeoutMinutes: 0.5 }],
    ["a timeout that is not a number", { id: { id: uuid }, timeoutMinutes: Number.NaN }]
  ]

  it.scoped.each(malformedStarts)(
    "a reply of startSession with %s is DecodeFailed, and is not quoted",
    ([, reply]) =>
      Effect.gen(function*() {
        const { run } = yield* setUp({ startSession: reply })
        const error = yield* Effect.flip(run(SessionCommands.startSession))
        expect(error).toBeInstanceOf(DecodeFailed)
        expect(error).toMatchObject({ source: "reply of startSession" })
        expect(JSON.stringify(error)).not.toContain(secret)
      })
  )

  it.scoped.each(commands.slice(1))(
    "an acknowledgement of %s that is none is DecodeFailed",
    ([name, command]) =>
      Effect.gen(function*() {
        const { run } = yield* setUp({ [name]: { ok: 2, secret } })
        const error = yield* Effect.flip(Effect.asVoid(run(command)))
        expect(error).toMatchObject({ _tag: "DecodeFailed", source: `reply of ${name}`, path: ["ok"] })
        expect(JSON.stringify(error)).not.toContain(secret)
      })
  )

  const entry = session(1)
  const operation = transaction(1)
  const inTransaction = (fields: Document) => ({
    ...operation,
    transaction: { ...operation["transaction"], ...fields }
  })

  const malformedSessions: ReadonlyArray<readonly [what: string, entry: Document]> = [
    ["that are operations", { ...operation, secret }],
    ["without lsid", { lastUse: new Date(), user: secret }],
    ["whose lsid has no owner", { ...entry, _id: { id: uuid } }],
    ["whose owner is too short", { ...entry, _id: { id: uuid, uid: new Binary(new Uint8Array(31)) } }],
    ["without last use", { _id: entry["_id"] }],
    ["whose last use is text", { ...entry, lastUse: secret }],
    ["whose user is a document", { ...entry, user: { secret } }]
  ]

  for (const [name, stream] of listings.slice(0, 2)) {
    it.scoped.each(malformedSessions)(
      `entries of ${name} %s are DecodeFailed, and not quoted`,
      ([, wrong]) =>
        Effect.gen(function*() {
          const { run } = yield* setUp({ aggregate: batch([wrong]) })
          const error = yield* Effect.flip(run(Stream.runDrain(stream)))
          expect(error).toMatchObject({ _tag: "DecodeFailed", source: `reply of ${name}` })
          expect(JSON.stringify(error)).not.toContain(secret)
        })
    )
  }

  const malformedTransactions: ReadonlyArray<readonly [what: string, entry: Document]> = [
    ["that are sessions", { ...entry, secret }],
    ["without transaction", { ...operation, transaction: undefined }],
    ["whose number is text", inTransaction({ parameters: { txnNumber: secret, autocommit: false } })],
    ["whose start is no time", inTransaction({ startWallClockTime: secret })],
    ["whose start is a date that there is not", inTransaction({ startWallClockTime: "2024-13-41T10:00:00Z" })],
    ["that have been open for less than nothing", inTransaction({ timeOpenMicros: Long.fromNumber(-1) })],
    ["whose end is no time", inTransaction({ expiryTime: secret })],
    ["whose read timestamp is a number", inTransaction({ readTimestamp: 7 })]
  ]

  it.scoped.each(malformedTransactions)(
    "entries of currentTransactions %s are DecodeFailed, and not quoted",
    ([, wrong]) =>
      Effect.gen(function*() {
        const { run } = yield* setUp({ aggregate: batch([wrong]) })
        const error = yield* Effect.flip(run(Stream.runDrain(SessionCommands.currentTransactions())))
        expect(error).toMatchObject({ _tag: "DecodeFailed", source: "reply of currentTransactions" })
        expect(JSON.stringify(error)).not.toContain(secret)
      })
  )
})

describe("SessionCommands: startSession", () => {
  it.scoped("gives the id and the timeout that the server tells", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp({
        startSession: { id: { id: new UUID(idAt(7).bytes) }, timeoutMinutes: 1 }
      })
      const started = yield* run(SessionCommands.startSession)
      expect(Equal.equals(started.id, idAt(7))).toBe(true)
      expect(Duration.toMinutes(started.timeout)).toBe(1)
      const [sent] = yield* responder.commands
      expect(sent?.command["startSession"]).toBe(1)
      expect(Object.keys(sent?.command ?? {})).not.toContain("lsid")
    }))

  it.scoped.each([{ promoteValues: false }, { promoteBuffers: true }, { useBigInt64: true }, { promoteLongs: false }])(
    "reads the reply whatever the client's BSON options, as with %j",
    (driver) =>
      Effect.gen(function*() {
        const id = { id: new UUID(idAt(7).bytes) }
        for (const timeoutMinutes of [new Int32(30), Long.fromNumber(30), new Double(30)]) {
          const { run } = yield* setUp({ startSession: { id, timeoutMinutes } }, driver)
          const started = yield* run(SessionCommands.startSession)
          expect(Equal.equals(started.id, idAt(7))).toBe(true)
          expect(Duration.toMinutes(started.timeout)).toBe(30)
        }
      })
  )
})

describe("SessionCommands: scoped", () => {
  const opened = (handlers: Responder.Options["handlers"] = {}) =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp(handlers)
      const scope = yield* Scope.make()
      const started = yield* run(Scope.extend(SessionCommands.scoped, scope))
      return { responder, scope, started }
    })

  it.scoped("ends the session when the scope closes, and not before", () =>
    Effect.gen(function*() {
      const { responder, scope, started } = yield* opened()
      expect(yield* responder.named("endSessions")).toEqual([])
      yield* Scope.close(scope, Exit.void)
      const ended = yield* responder.named("endSessions")
      expect(ended.map(({ command }) => command["endSessions"])).toEqual([[{ id: new UUID(started.id.bytes) }]])
    }))

  it.scoped("a failure to end it is logged and closes the scope all the same", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const { scope } = yield* opened({ endSessions: refused })
        yield* Scope.close(scope, Exit.void)
        expect(entries.map(({ annotations }) => annotations)).toEqual([
          { step: "session started by command", problem: "Unauthorized" }
        ])
      })
    ))

  it.scoped("a server that does not answer holds the scope up for the client's closeTimeout at most, which is logged", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const { responder, scope } = yield* opened({ endSessions: "hang" })
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* responder.awaitCommand("endSessions")
        yield* TestClock.adjust(Duration.seconds(9))
        expect(yield* Fiber.poll(closing)).toEqual(Option.none())
        yield* TestClock.adjust(Duration.seconds(1))
        yield* Fiber.join(closing)
        expect(entries.map(({ annotations }) => annotations["problem"])).toContain("not done in time")
      })
    ))

  it.scoped("can be interrupted while the server does not answer", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp({ startSession: "hang" })
      const fiber = yield* Effect.fork(run(Effect.scoped(SessionCommands.scoped)))
      yield* responder.awaitCommand("startSession")
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
      expect(yield* responder.named("endSessions")).toEqual([])
    }))
})

describe("SessionCommands: several clients", () => {
  class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}

  it.scoped("the option client, and `on`, send to that client's server only", () =>
    Effect.gen(function*() {
      const main = yield* setUp()
      const other = yield* setUp({ aggregate: batch([session(1)]) })
      const both = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        main.run(Effect.provideService(effect, Analytics, other.client))
      const client = { client: Analytics }
      yield* both(SessionCommands.refreshSessions(ids(1), client))
      yield* both(SessionCommands.endSessions(ids(1), client))
      yield* both(SessionCommands.killSessions(ids(1), client))
      yield* both(SessionCommands.killAllSessions([{ user: "app", db: "shop" }], client))
      yield* both(SessionCommands.killAllSessionsByPattern([{ uid: nobody }], client))
      expect(Chunk.size(yield* both(Stream.runCollect(SessionCommands.listSessions(client))))).toBe(1)
      expect(Chunk.size(yield* both(Stream.runCollect(SessionCommands.listLocalSessions(client))))).toBe(1)
      yield* both(SessionCommands.startSession.pipe(SessionCommands.on(Analytics)))
      yield* both(SessionCommands.killMySessions.pipe(SessionCommands.on(Analytics)))
      yield* both(Effect.scoped(SessionCommands.scoped.pipe(SessionCommands.on(Analytics))))
      expect(yield* main.responder.commands).toEqual([])
      expect((yield* other.responder.commands).map(({ name }) => name)).toEqual([
        "refreshSessions",
        "endSessions",
        "killSessions",
        "killAllSessions",
        "killAllSessionsByPattern",
        "aggregate",
        "aggregate",
        "startSession",
        "killSessions",
        "startSession",
        "endSessions"
      ])
    }))
})
