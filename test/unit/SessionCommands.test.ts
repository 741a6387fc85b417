import { describe, expect, it } from "@effect/vitest"
import * as Array from "effect/Array"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as fc from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { Document, MongoClientOptions } from "mongodb"
import { Binary, Double, Int32, Long, Timestamp, UUID } from "mongodb"
import { createHash } from "node:crypto"
import { inner } from "../../src/internal/session/client.js"
import * as MongoClient from "../../src/MongoClient.js"
import { MongoError } from "../../src/MongoError.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import { DecodeFailed, SessionMisconfigured } from "../../src/SessionErrors.js"
import { SessionId } from "../../src/SessionId.js"
import { connected, logged } from "../support/server/connected.js"
import type * as Responder from "../support/server/responder.js"

const secret = "hunter2"

const idAt = (index: number): SessionId => {
  const bytes = new Uint8Array(16)
  new DataView(bytes.buffer).setUint32(12, index)
  return SessionId.fromBytes(bytes)
}

const all = Array.makeBy(25_001, idAt)

const ids = (count: number): ReadonlyArray<SessionId> => all.slice(0, count)

const digest = (text: string): Uint8Array => new Uint8Array(createHash("sha256").update(text).digest())

const nobody = digest("")

/** A responder, a client connected to it, and how to run commands on that client. */
const setUp = (handlers: Responder.Options["handlers"] = {}, driver: MongoClientOptions = {}) =>
  Effect.map(connected({ handlers }, { driver }), ({ client, server: responder }) => ({
    responder,
    client,
    run: Effect.provideService(MongoClient.MongoClient, client)
  }))

const refused = { ok: 0, code: 13, codeName: "Unauthorized", errmsg: `not authorized: ${secret}` }

const batch = (
  documents: ReadonlyArray<Document>,
  { id = 0, field = "firstBatch" }: { readonly id?: number; readonly field?: "firstBatch" | "nextBatch" } = {}
) => ({ cursor: { [field]: documents, id: Long.fromNumber(id), ns: "admin.$cmd.aggregate" } })

const session = (index: number): Document => ({
  _id: { id: new UUID(idAt(index).bytes), uid: new Binary(nobody) },
  lastUse: new Date(1_700_000_000_000 + index)
})

const transaction = (index: number): Document => ({
  type: "idleSession",
  host: "db.example:27017",
  desc: "inactive transaction",
  active: false,
  lsid: { id: new UUID(idAt(index).bytes), uid: new Binary(nobody) },
  transaction: {
    parameters: {
      txnNumber: Long.fromNumber(index),
      txnRetryCounter: new Int32(0),
      autocommit: false,
      readConcern: { level: "snapshot", provenance: "clientSupplied" }
    },
    readTimestamp: Timestamp.fromBits(3, 1_700_000_000),
    startWallClockTime: "2024-05-01T10:00:00.250+0200",
    timeOpenMicros: Long.fromNumber(5_000_001),
    timeActiveMicros: Long.fromNumber(1_000_001),
    timeInactiveMicros: Long.fromNumber(4_000_000),
    expiryTime: "2024-05-01T10:01:00.250+02:00"
  }
})

const listings: ReadonlyArray<
  readonly [name: string, stream: Stream.Stream<unknown, MongoError | DecodeFailed, MongoClient.MongoClient>]
> = [
  ["listSessions", SessionCommands.listSessions()],
  ["listLocalSessions", SessionCommands.listLocalSessions()],
  ["currentTransactions", SessionCommands.currentTransactions()]
]

const commands: ReadonlyArray<
  readonly [
    name: string,
    command: Effect.Effect<unknown, SessionMisconfigured | MongoError | DecodeFailed, MongoClient.MongoClient>
  ]
> = [
  ["startSession", SessionCommands.startSession],
  ["refreshSessions", SessionCommands.refreshSessions(ids(1))],
  ["endSessions", SessionCommands.endSessions(ids(1))],
  ["killSessions", SessionCommands.killSessions(ids(1))],
  ["killAllSessions", SessionCommands.killAllSessions([{ user: "app", db: "shop" }])],
  ["killAllSessionsByPattern", SessionCommands.killAllSessionsByPattern([{ uid: nobody }])]
]

const ofIds = [
  ["refreshSessions", SessionCommands.refreshSessions],
  ["endSessions", SessionCommands.endSessions],
  ["killSessions", SessionCommands.killSessions]
] as const

describe("SessionCommands: lists", () => {
  it.scoped("an empty list sends nothing, for it would mean all of them to the server", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp()
      yield* run(SessionCommands.refreshSessions([]))
      yield* run(SessionCommands.endSessions([]))
      yield* run(SessionCommands.killSessions(new Set<SessionId>()))
      yield* run(SessionCommands.killAllSessions([]))
      yield* run(SessionCommands.killAllSessionsByPattern([]))
      expect(yield* run(Stream.runCollect(SessionCommands.listSessions({ users: [] })))).toEqual(Chunk.empty())
      expect(yield* run(Stream.runCollect(SessionCommands.listLocalSessions({ users: [] })))).toEqual(Chunk.empty())
      expect(yield* responder.commands).toEqual([])
    }))

  it.scoped.each(ofIds)(
    "%s splits 25,001 ids into commands of 10,000, 10,000 and 5,001, none in a session",
    ([name, command]) =>
      Effect.gen(function*() {
        const { responder, run } = yield* setUp()
        yield* run(command(ids(25_001)))
        const sent = yield* responder.named(name)
        expect(sent.map((one) => one.command[name].length)).toEqual([10_000, 10_000, 5_001])
        const uuids = sent.flatMap((one) => one.command[name].map((lsid: { id: UUID }) => lsid.id.toHexString()))
        expect(uuids).toEqual(ids(25_001).map((id) => id.uuid))
        for (const { command } of sent) {
          expect(Object.keys(command)).not.toContain("lsid")
          expect(command["$db"]).toBe("admin")
        }
        expect(yield* responder.commands).toHaveLength(3)
      })
  )

  it.scoped("whatever is listed, no command has an empty array or more than 10,000 items, and none is lost", () =>
    Effect.gen(function*() {
      const sent: Array<Document> = []
      const { client } = yield* setUp()
      const recording: MongoClient.Service = {
        ...client,
        [inner]: { ...client[inner], adminCommand: (command) => Effect.sync(() => (sent.push(command), { ok: 1 })) }
      }
      const property = fc.asyncProperty(
        fc.constantFrom(...ofIds),
        fc.oneof(fc.nat(50), fc.integer({ min: 9_990, max: 10_010 }), fc.integer({ min: 19_990, max: 20_010 })),
        async ([name, command], count) => {
          sent.length = 0
          await Effect.runPromise(
            Effect.provideService(command(ids(count)), MongoClient.MongoClient, recording)
          )
          const sizes = sent.map((one) => one[name].length)
          expect(sizes.every((size) => size >= 1 && size <= 10_000)).toBe(true)
          expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(count)
        }
      )
      yield* Effect.promise(() => fc.assert(property, { numRuns: 20 }))
    }))

  it.scoped("where one command fails the rest are sent nevertheless, and the first failure is told", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp({
        refreshSessions: (_, { count }) => count === 1 ? refused : count === 2 ? { ...refused, code: 59 } : {}
      })
      const error = yield* Effect.flip(run(SessionCommands.refreshSessions(ids(25_001))))
      expect(error).toBeInstanceOf(MongoError)
      expect(error).toMatchObject({ reason: "Unauthorized", operation: "refreshSessions" })
      expect(yield* responder.named("refreshSessions")).toHaveLength(3)
    }))

  it.scoped("a command made from a list that can be read once can be run twice", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp()
      const once = function*() {
        yield idAt(1)
      }
      const command = SessionCommands.killSessions(once())
      yield* run(command)
      yield* run(command)
      expect((yield* responder.named("killSessions")).map((one) => one.command["killSessions"].length)).toEqual([1, 1])
    }))

  it.scoped("users go out with their name and database, and nothing else of what was given", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp()
      const user = { user: "app", db: "shop", password: secret }
      yield* run(SessionCommands.killAllSessions([user]))
      yield* run(Stream.runDrain(SessionCommands.listSessions({ users: [user] })))
      const [kill, list] = yield* responder.commands
      expect(kill?.command["killAllSessions"]).toEqual([{ user: "app", db: "shop" }])
      expect(list?.command["pipeline"]).toEqual([{ $listSessions: { users: [{ user: "app", db: "shop" }] } }])
    }))
})

describe("SessionCommands: all of them", () => {
  it.scoped("killMySessions sends an empty killSessions, once", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp()
      yield* run(SessionCommands.killMySessions)
      expect((yield* responder.commands).map(({ command }) => command)).toMatchObject([{ killSessions: [] }])
    }))

  it.scoped("killEverySession sends an empty killAllSessions, once", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp()
      yield* run(SessionCommands.killEverySession)
      expect((yield* responder.commands).map(({ command }) => command)).toMatchObject([{ killAllSessions: [] }])
    }))
})

describe("SessionCommands: patterns", () => {
  const lsid = { id: idAt(1), uid: nobody }

  // What only a caller without types can give.
  const untyped = (pattern: unknown): SessionCommands.Pattern => pattern as SessionCommands.Pattern

  const invalid: ReadonlyArray<readonly [what: string, pattern: unknown, path: ReadonlyArray<string>]> = [
    ["no field", {}, ["1"]],
    ["users alone", { users: [{ user: secret, db: "shop" }] }, ["1"]],
    ["roles alone", { roles: [{ role: secret, db: "shop" }] }, ["1"]],
    ["fields that are undefined", { lsid: undefined, uid: undefined }, ["1"]],
    ["lsid and uid", { lsid, uid: nobody }, ["1", "lsid"]],
    ["an lsid without id", { lsid: { uid: nobody } }, ["1", "lsid", "id"]],
    ["an lsid that is text", { lsid: secret }, ["1", "lsid", "id"]],
    ["an lsid without owner", { lsid: { id: lsid.id } }, ["1", "lsid", "uid"]],
    ["a uid that is too short", { uid: new Uint8Array(31) }, ["1", "uid"]],
    ["a uid that is text", { uid: secret }, ["1", "uid"]],
    ["a uid that is null", { uid: null }, ["1", "uid"]],
    ["only fields that no pattern has", { [secret]: 1 }, ["1"]],
    ["no document", null, ["1"]]
  ]

  it.scoped.each(invalid)(
    "a pattern with %s is refused before anything is sent",
    ([, pattern, path]) =>
      Effect.gen(function*() {
        const { responder, run } = yield* setUp()
        const error = yield* Effect.flip(
          run(SessionCommands.killAllSessionsByPattern([{ uid: nobody }, untyped(pattern)]))
        )
        expect(error).toBeInstanceOf(SessionMisconfigured)
        if (error._tag === "SessionMisconfigured") {
          expect(error.issues.map((issue) => issue.path)).toEqual([path])
        }
        expect(error.message).not.toContain(secret)
        expect(yield* responder.commands).toEqual([])
      })
  )

  it.scoped("all that is wrong is told at once", () =>
    Effect.gen(function*() {
      const { run } = yield* setUp()
      const patterns = [{}, { lsid: {}, uid: 1 }].map(untyped)
      const error = yield* Effect.flip(run(SessionCommands.killAllSessionsByPattern(patterns)))
      expect(error._tag === "SessionMisconfigured" && error.issues.map((issue) => issue.path.join("."))).toEqual([
        "0",
        "1.lsid",
        "1.lsid.id",
        "1.lsid.uid",
        "1.uid"
      ])
    }))

  it.scoped("valid patterns go out as the manual has them", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp()
      yield* run(SessionCommands.killAllSessionsByPattern([
        { lsid },
        { uid: digest("app@shop"), users: [{ user: "app", db: "shop" }], roles: [{ role: "read", db: "shop" }] }
      ]))
      const [sent] = yield* responder.commands
      expect(sent?.command["killAllSessionsByPattern"]).toEqual([
        { lsid: { id: new UUID(lsid.id.bytes), uid: new Binary(nobody) } },
        {
          uid: new Binary(digest("app@shop")),
          users: [{ user: "app", db: "shop" }],
          roles: [{ role: "read", db: "shop" }]
        }
      ])
    }))
})

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

describe("SessionCommands: listings", () => {
  const numbers = (entries: Iterable<SessionCommands.ListedSession>) =>
    Array.fromIterable(entries).map((one) => one.lastUse.getTime() - 1_700_000_000_000)

  /** Three batches: 1, 2 and 3; 4 and 5; 6. */
  const threeBatches: Responder.Options["handlers"] = {
    aggregate: batch([session(1), session(2), session(3)], { id: 77 }),
    getMore: (_, { count }) =>
      count % 2 === 0
        ? batch([session(4), session(5)], { id: 77, field: "nextBatch" })
        : batch([session(6)], { field: "nextBatch" })
  }

  it.scoped("sessions are decoded, whoever owns them and whatever else the server says of them", () =>
    Effect.gen(function*() {
      const uid = digest("app@shop")
      const { run } = yield* setUp({
        aggregate: batch([
          session(1),
          {
            _id: { id: new UUID(idAt(2).bytes), uid: new Binary(uid), txnNumber: Long.ONE, txnUUID: new UUID() },
            lastUse: new Date(0),
            user: "app@shop",
            later: { versions: "may add fields" }
          }
        ])
      })
      for (const list of [SessionCommands.listSessions, SessionCommands.listLocalSessions]) {
        const [first, second] = yield* run(Stream.runCollect(list()))
        expect(first).toEqual({
          lsid: { id: idAt(1), uid: nobody },
          lastUse: new Date(1_700_000_000_001),
          user: Option.none()
        })
        expect(second).toEqual({ lsid: { id: idAt(2), uid }, lastUse: new Date(0), user: Option.some("app@shop") })
      }
    }))

  it.scoped("an entry is a pattern that matches it", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp({ aggregate: batch([session(3)]) })
      const entries = yield* run(Stream.runCollect(SessionCommands.listSessions({ allUsers: true })))
      yield* run(SessionCommands.killAllSessionsByPattern(entries))
      const [kill] = yield* responder.named("killAllSessionsByPattern")
      expect(kill?.command["killAllSessionsByPattern"]).toEqual([{ lsid: session(3)["_id"] }])
    }))

  it.scoped("transactions are decoded, with what mongos does not tell left out", () =>
    Effect.gen(function*() {
      const onMongos = transaction(2)
      const { run } = yield* setUp({
        aggregate: batch([
          transaction(1),
          {
            ...onMongos,
            active: true,
            transaction: {
              ...onMongos["transaction"],
              parameters: { txnNumber: Long.MAX_VALUE, autocommit: false, readConcern: {} },
              readTimestamp: undefined,
              expiryTime: undefined,
              numParticipants: 2
            }
          }
        ])
      })
      const [first, second] = yield* run(Stream.runCollect(SessionCommands.currentTransactions({ allUsers: true })))
      expect(first).toMatchObject({
        lsid: { id: idAt(1), uid: nobody },
        txnNumber: 1n,
        active: false,
        autocommit: false,
        readConcern: Option.some("snapshot"),
        startWallClockTime: new Date("2024-05-01T08:00:00.250Z"),
        timeOpen: Duration.micros(5_000_001n),
        timeActive: Duration.micros(1_000_001n),
        timeInactive: Duration.micros(4_000_000n),
        expiryTime: Option.some(new Date("2024-05-01T08:01:00.250Z"))
      })
      expect(first !== undefined && Option.map(first.readTimestamp, String)).toEqual(
        Option.some(String(Timestamp.fromBits(3, 1_700_000_000)))
      )
      expect(second).toMatchObject({
        txnNumber: 2n ** 63n - 1n,
        active: true,
        readConcern: Option.none(),
        readTimestamp: Option.none(),
        expiryTime: Option.none()
      })
    }))

  const stages: ReadonlyArray<
    readonly [
      what: string,
      stream: Stream.Stream<unknown, MongoError | DecodeFailed, MongoClient.MongoClient>,
      expected: Document
    ]
  > = [
    ["one's own sessions", SessionCommands.listSessions(), {
      aggregate: "system.sessions",
      $db: "config",
      pipeline: [{ $listSessions: {} }]
    }],
    ["everybody's sessions", SessionCommands.listSessions({ allUsers: true }), {
      aggregate: "system.sessions",
      $db: "config",
      pipeline: [{ $listSessions: { allUsers: true } }]
    }],
    ["one's own local sessions", SessionCommands.listLocalSessions({ allUsers: false }), {
      aggregate: 1,
      $db: "admin",
      pipeline: [{ $listLocalSessions: {} }]
    }],
    ["a user's local sessions", SessionCommands.listLocalSessions({ users: [{ user: "app", db: "shop" }] }), {
      aggregate: 1,
      $db: "admin",
      pipeline: [{ $listLocalSessions: { users: [{ user: "app", db: "shop" }] } }]
    }],
    ["one's own transactions", SessionCommands.currentTransactions(), {
      aggregate: 1,
      $db: "admin",
      pipeline: [
        { $currentOp: { allUsers: false, idleSessions: true } },
        { $match: { "transaction.parameters.autocommit": { $exists: true } } }
      ]
    }],
    ["everybody's transactions", SessionCommands.currentTransactions({ allUsers: true }), {
      aggregate: 1,
      $db: "admin",
      pipeline: [
        { $currentOp: { allUsers: true, idleSessions: true } },
        { $match: { "transaction.parameters.autocommit": { $exists: true } } }
      ]
    }]
  ]

  it.scoped.each(stages)(
    "%s are asked for with the read concern local, whatever the client's",
    ([, stream, expected]) =>
      Effect.gen(function*() {
        const { responder, run } = yield* setUp({}, { readConcern: { level: "majority" } })
        yield* run(Stream.runDrain(stream))
        const [sent] = yield* responder.commands
        expect(sent?.command).toMatchObject({ ...expected, readConcern: { level: "local" } })
        expect(sent?.command["readConcern"]).toEqual({ level: "local" })
      })
  )

  it.scoped("a chunk is a batch, and a cursor that has come to its end is not killed", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp(threeBatches)
      const chunks = yield* run(Stream.runCollect(Stream.chunks(SessionCommands.listSessions())))
      expect(Array.fromIterable(chunks).map(numbers)).toEqual([[1, 2, 3], [4, 5], [6]])
      expect((yield* responder.commands).map(({ name }) => name)).toEqual(["aggregate", "getMore", "getMore"])
    }))

  it.scoped("a stream is lazy, and gives its entries anew each time it is run", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp(threeBatches)
      const stream = SessionCommands.listSessions()
      expect(yield* responder.commands).toEqual([])
      const first = yield* run(Stream.runCollect(stream))
      const second = yield* run(Stream.runCollect(stream))
      expect(numbers(first)).toEqual([1, 2, 3, 4, 5, 6])
      expect(numbers(second)).toEqual([1, 2, 3, 4, 5, 6])
      expect(yield* responder.named("aggregate")).toHaveLength(2)
    }))

  it.scoped.each([1, 3, 4])("the cursor is killed when only %i entries are read", (count) =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp(threeBatches)
      const taken = yield* run(Stream.runCollect(Stream.take(SessionCommands.listSessions(), count)))
      expect(numbers(taken)).toEqual(Array.makeBy(count, (index) => index + 1))
      const killed = yield* responder.named("killCursors")
      expect(killed.map(({ command }) => command["cursors"].map(String))).toEqual([["77"]])
      expect(yield* responder.overlaps).toEqual([])
    }))

  it.scoped("the cursor is killed when the reader fails", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp(threeBatches)
      const error = yield* Effect.flip(
        run(Stream.runForEach(SessionCommands.listSessions(), () => Effect.fail("reader")))
      )
      expect(error).toBe("reader")
      expect(yield* responder.named("killCursors")).toHaveLength(1)
    }))

  it.scoped("entries before one that cannot be decoded still arrive, then the cursor is killed", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp({
        aggregate: batch([session(1), { secret }, session(3)], { id: 77 })
      })
      const seen: Array<SessionCommands.ListedSession> = []
      const error = yield* Effect.flip(
        run(Stream.runForEach(SessionCommands.listSessions(), (one) => Effect.sync(() => seen.push(one))))
      )
      expect(numbers(seen)).toEqual([1])
      expect(error).toMatchObject({ _tag: "DecodeFailed", path: ["_id"], issue: "is missing" })
      expect(yield* responder.named("killCursors")).toHaveLength(1)
    }))

  it.scoped("a failure in a later batch comes after the entries of the earlier ones", () =>
    Effect.gen(function*() {
      const { run } = yield* setUp({
        aggregate: batch([session(1)], { id: 77 }),
        getMore: { ok: 0, code: 43, codeName: "CursorNotFound", errmsg: secret }
      })
      const seen: Array<SessionCommands.ListedSession> = []
      const error = yield* Effect.flip(
        run(Stream.runForEach(SessionCommands.listSessions(), (one) => Effect.sync(() => seen.push(one))))
      )
      expect(numbers(seen)).toEqual([1])
      expect(error).toMatchObject({
        _tag: "MongoError",
        reason: "CursorLost",
        operation: "listSessions",
        namespace: "config.system.sessions"
      })
    }))

  it.scoped("an interruption waits for the batch in flight, then kills the cursor: no two commands at once", () =>
    Effect.gen(function*() {
      const answer = yield* Deferred.make<Responder.Reply>()
      const { responder, run } = yield* setUp({
        aggregate: batch([session(1)], { id: 77 }),
        getMore: () => Deferred.await(answer)
      })
      const fiber = yield* Effect.fork(run(Stream.runDrain(SessionCommands.listSessions())))
      yield* responder.awaitCommand("getMore")
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.yieldNow()
      expect(yield* Fiber.poll(interruption)).toEqual(Option.none())
      expect(yield* responder.named("killCursors")).toEqual([])
      yield* Deferred.succeed(answer, batch([session(2)], { id: 77, field: "nextBatch" }))
      expect(Exit.isInterrupted(yield* Fiber.join(interruption))).toBe(true)
      expect(yield* responder.named("killCursors")).toHaveLength(1)
      expect(yield* responder.overlaps).toEqual([])
    }))

  it.scoped("a server that does not answer holds an interruption for settleTimeout and closeTimeout at most", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const { responder, run } = yield* setUp({
          aggregate: batch([session(1)], { id: 77 }),
          getMore: "hang",
          killCursors: "hang"
        })
        const fiber = yield* Effect.fork(run(Stream.runDrain(SessionCommands.listSessions())))
        yield* responder.awaitCommand("getMore")
        const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* TestClock.adjust(Duration.seconds(29))
        expect(yield* responder.named("killCursors")).toEqual([])
        yield* TestClock.adjust(Duration.seconds(1))
        yield* responder.awaitCommand("killCursors")
        yield* TestClock.adjust(Duration.seconds(10))
        expect(Exit.isInterrupted(yield* Fiber.join(interruption))).toBe(true)
        expect(entries.map(({ annotations }) => annotations["step"])).toContain("cursor of listSessions")
      })
    ))

  it.scoped.each([
    { promoteValues: false },
    { promoteBuffers: true },
    { promoteLongs: false },
    { raw: true }
  ])("entries are read whatever the client's BSON options, as with %j", (driver) =>
    Effect.gen(function*() {
      const { run } = yield* setUp({ aggregate: batch([{ ...session(1), ...transaction(1) }]) }, driver)
      const [listed] = yield* run(Stream.runCollect(SessionCommands.listSessions()))
      const [current] = yield* run(Stream.runCollect(SessionCommands.currentTransactions()))
      expect(listed?.lsid).toEqual({ id: idAt(1), uid: nobody })
      expect(current?.txnNumber).toBe(1n)
    }))
})
