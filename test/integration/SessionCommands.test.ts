import { describe, expect, it } from "@effect/vitest"
import * as Array from "effect/Array"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { Long, UUID } from "mongodb"
import { createHash, randomBytes } from "node:crypto"
import * as MongoClient from "../../src/MongoClient.js"
import type { MongoError } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import type { DecodeFailed, SessionMisconfigured } from "../../src/SessionErrors.js"
import { SessionId } from "../../src/SessionId.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import { connected } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import * as Versions from "../support/server/versions.js"
import * as Monitor from "../support/watch/monitor.js"

const newIds = (count: number): ReadonlyArray<SessionId> =>
  Array.makeBy(count, () => SessionId.fromBytes(randomBytes(16)))

const nobody = new Uint8Array(createHash("sha256").digest())

const on = (client: MongoClient.Service) => Effect.provideService(MongoClient.MongoClient, client)

/** A test with a client of its own, that leaves nothing behind. */
const withClient = <A, E>(
  test: (watched: Monitor.Watched, run: ReturnType<typeof on>) => Effect.Effect<A, E, MongoServer.MongoServer>
) => Monitor.withClient({}, (watched) => test(watched, on(watched.client)))

// A server of its own: some of these commands concern all clients of a server.
it.layer(TestServer.own())("SessionCommands", (it) => {
  it.effect("startSession gives an id of the server's, another one each time, and its timeout of 30 minutes", () =>
    withClient(({ monitor }, run) =>
      Effect.gen(function*() {
        const first = yield* run(SessionCommands.startSession)
        const second = yield* run(SessionCommands.startSession)
        expect(Duration.toMinutes(first.timeout)).toBe(30)
        expect(Equal.equals(first.id, second.id)).toBe(false)
        for (const { lsid } of yield* monitor.named("startSession")) expect(lsid).toBeUndefined()
      })
    ))

  it.effect("scoped ends the session that it has started, outside of any session", () =>
    withClient(({ monitor }, run) =>
      Effect.gen(function*() {
        const { id } = yield* run(Effect.scoped(
          Effect.tap(SessionCommands.scoped, () =>
            Effect.map(monitor.named("endSessions"), (ended) => expect(ended).toEqual([])))
        ))
        const ended = yield* monitor.named("endSessions")
        expect(ended).toMatchObject([{ lsid: undefined, outcome: "succeeded" }])
        expect(ended[0]?.command["endSessions"]).toEqual([{ id: new UUID(id.bytes) }])
      })
    ))

  it.effect("refresh, end and kill take sessions that the server knows, and those that it does not", () =>
    withClient((_, run) =>
      Effect.gen(function*() {
        const { id } = yield* run(SessionCommands.startSession)
        const ids = [id, ...newIds(1)]
        yield* run(SessionCommands.refreshSessions(ids))
        yield* run(SessionCommands.killSessions(ids))
        yield* run(SessionCommands.endSessions(ids))
      })
    ))

  it.effect("25,001 ids are taken in three commands", () =>
    withClient(({ monitor }, run) =>
      Effect.gen(function*() {
        const ids = newIds(25_001)
        yield* run(SessionCommands.refreshSessions(ids))
        yield* run(SessionCommands.killSessions(ids))
        yield* run(SessionCommands.endSessions(ids))
        for (const name of ["refreshSessions", "killSessions", "endSessions"]) {
          const sent = yield* monitor.named(name)
          expect(sent.map(({ command }) => command[name].length)).toEqual([10_000, 10_000, 5_001])
          expect(sent.every(({ lsid, outcome }) => lsid === undefined && outcome === "succeeded")).toBe(true)
        }
      })
    ))

  it.effect("the commands that kill by pattern, or everything, are taken", () =>
    withClient((_, run) =>
      Effect.gen(function*() {
        const [id = yield* Effect.dieMessage("no id")] = newIds(1)
        yield* run(SessionCommands.killAllSessionsByPattern([{ lsid: { id, uid: nobody } }, { uid: nobody }]))
        yield* run(SessionCommands.killMySessions)
        yield* run(SessionCommands.killEverySession)
      })
    ))

  it.effect("sessions of a user that the server does not know cannot be killed; from MongoDB 7.0 on it has none", () =>
    withClient((_, run) =>
      Effect.gen(function*() {
        const killed = yield* Effect.either(run(SessionCommands.killAllSessions([{ user: "nobody", db: "admin" }])))
        if (yield* Versions.has({ version: "7.0" })) expect(Either.isRight(killed)).toBe(true)
        else expect(killed).toMatchObject(Either.left({ operation: "killAllSessions", code: 11 }))
      })
    ))

  it.effect("killSessions kills the cursor of a session at once, and the id stays usable", () =>
    withClient((watched, run) =>
      Effect.scoped(Effect.gen(function*() {
        const db = watched.client.driver.db(yield* TestServer.database)
        yield* Effect.promise(() => db.collection("rows").insertMany([{ n: 1 }, { n: 2 }, { n: 3 }]))
        const session = yield* Monitor.session(watched)
        const cursor = yield* session.use((driverSession) =>
          Promise.resolve(db.collection("rows").find({}, { batchSize: 1, session: driverSession }))
        )
        yield* session.use(() => cursor.next())
        yield* run(SessionCommands.killSessions([session.id]))
        const error = yield* Effect.flip(session.use(() => cursor.next()))
        expect(error).toMatchObject({ _tag: "MongoError", reason: "CursorLost" })
        yield* session.use((driverSession) => db.command({ ping: 1 }, { session: driverSession }))
      }))
    ))

  it.effect("a started session is among the local ones, and among all once the server has written them down", () =>
    withClient(({ client }, run) =>
      Effect.gen(function*() {
        const { id } = yield* run(SessionCommands.startSession)
        const has = (entries: Chunk.Chunk<SessionCommands.ListedSession>) =>
          Chunk.some(entries, ({ lsid }) => Equal.equals(lsid.id, id))
        expect(has(yield* run(Stream.runCollect(SessionCommands.listLocalSessions())))).toBe(true)
        yield* Effect.promise(() => client.driver.db("admin").command({ refreshLogicalSessionCacheNow: 1 }))
        expect(has(yield* run(Stream.runCollect(SessionCommands.listSessions({ allUsers: true }))))).toBe(true)
      })
    ))

  it.scoped("a server that answers with operations where sessions were asked for is not believed", () =>
    Effect.gen(function*() {
      const operation = { type: "op", host: "localhost", ns: "admin.$cmd" }
      const { client } = yield* connected({
        handlers: { aggregate: { cursor: { firstBatch: [operation], id: Long.ZERO, ns: "admin.$cmd.aggregate" } } }
      })
      for (const list of [SessionCommands.listSessions, SessionCommands.listLocalSessions]) {
        const error = yield* Effect.flip(on(client)(Stream.runDrain(list())))
        expect(error).toMatchObject({ _tag: "DecodeFailed", path: ["_id"], issue: "is missing" })
      }
    }))

  it.effect("a transaction is listed while it is open, and no longer", () =>
    withClient((watched, run) =>
      Effect.scoped(Effect.gen(function*() {
        const db = watched.client.driver.db(yield* TestServer.database)
        yield* Effect.promise(() => db.createCollection("rows"))
        const session = yield* Monitor.session(watched)
        const listed = run(Stream.runCollect(SessionCommands.currentTransactions({ allUsers: true }))).pipe(
          Effect.map(Chunk.filter(({ lsid }) => Equal.equals(lsid.id, session.id)))
        )
        yield* Session.provide(Transaction.start({ readConcern: { level: "snapshot" } }), session)
        yield* session.use((driverSession) => db.collection("rows").insertOne({ n: 1 }, { session: driverSession }))
        expect(Chunk.toReadonlyArray(yield* listed)).toMatchObject([
          { active: false, autocommit: false, readConcern: Option.some("snapshot") }
        ])
        yield* Session.provide(Transaction.abort, session)
        expect(yield* listed).toEqual(Chunk.empty())
      }))
    ))

  it.effect("where no transaction is open none is listed", () =>
    withClient((_, run) =>
      Effect.gen(function*() {
        expect(yield* run(Stream.runCollect(SessionCommands.currentTransactions()))).toEqual(Chunk.empty())
      })
    ))
})

describe("SessionCommands with access control", () => {
  const needsAuthentication: ReadonlyArray<
    readonly [
      name: string,
      effect: Effect.Effect<unknown, SessionMisconfigured | MongoError | DecodeFailed, MongoClient.MongoClient>
    ]
  > = [
    ["startSession", SessionCommands.startSession],
    ["scoped", Effect.scoped(SessionCommands.scoped)],
    ["refreshSessions", SessionCommands.refreshSessions(newIds(1))],
    ["killSessions", SessionCommands.killSessions(newIds(1))],
    ["killAllSessions", SessionCommands.killAllSessions([{ user: "app", db: "shop" }])],
    ["killAllSessionsByPattern", SessionCommands.killAllSessionsByPattern([{ uid: nobody }])],
    ["killMySessions", SessionCommands.killMySessions],
    ["killEverySession", SessionCommands.killEverySession],
    ["listSessions", Stream.runDrain(SessionCommands.listSessions())],
    ["listLocalSessions", Stream.runDrain(SessionCommands.listLocalSessions({ allUsers: true }))],
    ["currentTransactions", Stream.runDrain(SessionCommands.currentTransactions({ allUsers: true }))]
  ]

  const as = (credentials: Option.Option<MongoServer.Credentials>) =>
    Effect.flatMap(MongoServer.MongoServer, ({ urlAs }) => MongoClient.make({ url: Redacted.make(urlAs(credentials)) }))

  it.layer(TestServer.own({ auth: true }))((it) => {
    it.scoped.each(needsAuthentication)(
      "%s is Unauthorized for whoever is not authenticated",
      ([, effect]) =>
        Effect.gen(function*() {
          const client = yield* as(Option.none())
          const error = yield* Effect.flip(Effect.asVoid(on(client)(effect)))
          expect(error).toMatchObject({ _tag: "MongoError", reason: "Unauthorized", code: 13 })
        })
    )

    /** A client of a user that may read and write the database `shop`. */
    const asUser = (username: string) =>
      Effect.gen(function*() {
        const root = yield* TestServer.driver()
        const credentials = { username, password: randomBytes(8).toString("hex") }
        yield* Effect.promise(() =>
          root.db("admin").command({
            createUser: username,
            pwd: credentials.password,
            roles: [{ role: "readWrite", db: "shop" }]
          })
        )
        return { credentials, client: yield* as(Option.some(credentials)) }
      })

    it.scoped("who may not look at others' transactions gets Unauthorized, and may start sessions", () =>
      Effect.gen(function*() {
        const { client, credentials } = yield* asUser("app")
        const error = yield* Effect.flip(
          on(client)(Stream.runDrain(SessionCommands.currentTransactions({ allUsers: true })))
        )
        expect(error).toMatchObject({ reason: "Unauthorized", operation: "currentTransactions" })
        expect(error.message).not.toContain(credentials.password)
        const { id } = yield* on(client)(SessionCommands.startSession)
        yield* on(client)(SessionCommands.endSessions([id]))
      }))

    it.scoped("sessions of another user are killed by owner, by pattern, and with everybody's", () =>
      Effect.gen(function*() {
        const { client } = yield* asUser("owner")
        const { url } = yield* MongoServer.MongoServer
        const root = on(yield* MongoClient.make({ url: Redacted.make(url) }))
        const rows = client.driver.db("shop").collection("rows")
        yield* Effect.promise(() => rows.insertMany([{ n: 1 }, { n: 2 }, { n: 3 }]))
        const session = yield* Monitor.session({ client })
        const uid = new Uint8Array(createHash("sha256").update("owner@admin").digest())
        for (
          const kill of [
            SessionCommands.killAllSessions([{ user: "owner", db: "admin" }]),
            SessionCommands.killAllSessionsByPattern([{ lsid: { id: session.id, uid } }]),
            SessionCommands.killAllSessionsByPattern([{ uid }]),
            SessionCommands.killEverySession
          ]
        ) {
          const cursor = yield* session.use((driverSession) =>
            Promise.resolve(rows.find({}, { batchSize: 1, session: driverSession }))
          )
          yield* session.use(() => cursor.next())
          yield* root(kill)
          expect(yield* Effect.flip(session.use(() => cursor.next()))).toMatchObject({ reason: "CursorLost" })
        }
      }))

    it.scoped("an authenticated user starts sessions, and kills those of everybody with the privilege", () =>
      Effect.gen(function*() {
        const { url } = yield* MongoServer.MongoServer
        const client = yield* MongoClient.make({ url: Redacted.make(url) })
        const { id } = yield* on(client)(SessionCommands.startSession)
        yield* on(client)(SessionCommands.refreshSessions([id]))
        yield* on(client)(SessionCommands.killMySessions)
        yield* on(client)(SessionCommands.killEverySession)
      }))
  })
})
