import { describe, expect, it, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import { gather } from "../../inspect/src/gather.js"
import { kill } from "../../inspect/src/kill.js"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as Command from "../../src/internal/driver/command.js"
import * as DriverSession from "../../src/internal/driver/session.js"
import { inner } from "../../src/internal/session/client.js"
import * as Lease from "../../src/Lease.js"
import * as MongoClient from "../../src/MongoClient.js"
import { MongoError } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import * as Processes from "../support/programs/processes.js"
import * as Certificates from "../support/server/certificates.js"
import { until } from "../support/watch/until.js"

const alice = { username: "alice", password: "of her own" }
const bob = { username: "bob", password: "of his own" }
const owner = { username: "owner", password: "of the deployment" }

const Things = Collection.make("things", { database: "shop" })

const clientAs = (who: MongoServer.Credentials, options: Partial<MongoClient.Options> = {}) =>
  Effect.flatMap(
    MongoServer.MongoServer,
    ({ urlAs }) => MongoClient.make({ url: Redacted.make(urlAs(Option.some(who))), ...options })
  )

const createUser = (user: string, pwd: string | undefined, database: string) =>
  Database.make(database).command({
    createUser: user,
    ...(pwd !== undefined && { pwd }),
    roles: [{ role: "readWrite", db: "shop" }]
  })

const users = Effect.gen(function*() {
  const deployment = yield* clientAs(owner)
  const as = Effect.provideService(MongoClient.MongoClient, deployment)
  yield* Effect.ignore(as(createUser(alice.username, alice.password, "admin")))
  yield* Effect.ignore(as(createUser(bob.username, bob.password, "admin")))
  return { asOwner: as, hers: yield* clientAs(alice), his: yield* clientAs(bob) }
})

const isUnauthorized = { _tag: "MongoError", reason: "Unauthorized", code: 13 }

layer(MongoServer.layer({ auth: owner }), { excludeTestServices: true, timeout: "2 minutes" })((it) => {
  it.scoped("a window of a user without privileges shows what it can, says what is missing, and kills one's own only", () =>
    Effect.gen(function*() {
      const { asOwner, hers, his } = yield* users
      const [asAlice, asBob] = [hers, his].map((client) => Effect.provideService(MongoClient.MongoClient, client)) as [
        typeof asOwner,
        typeof asOwner
      ]
      const look = gather({ databases: ["shop", "secret"] }, undefined)
      const fiber = yield* Effect.forkScoped(
        asAlice(Transaction.run(Effect.zipRight(Things.insertOne({ by: "alice" }), Effect.never)))
      )
      const all = yield* until(asOwner(look), ({ transactions }) => transactions.length === 1)
      expect(all).toMatchObject({ missing: [], transactions: [{ user: "alice@admin" }] })
      const [{ session = "" } = {}] = all.transactions

      const seen = yield* asBob(look)
      expect(seen.transactions).toEqual([])
      expect(seen.sessions.map(({ user }) => user ?? "bob@admin")).not.toContain("alice@admin")
      expect(seen.missing.map(({ why }) => why)).toEqual([
        "needs the privilege inprog",
        "needs the privilege inprog",
        "needs the privilege listSessions",
        "needs the privilege find on secret"
      ])
      expect(yield* asBob(kill(session))).toBe(false)
      expect((yield* asOwner(look)).transactions).toHaveLength(1)
      // Her own takes her no privilege; that of others takes the owner's.
      expect(yield* asAlice(kill(session))).toBe(true)
      expect((yield* asOwner(look)).transactions).toEqual([])
      yield* Fiber.interrupt(fiber)
      const again = yield* Effect.forkScoped(
        asAlice(Transaction.run(Effect.zipRight(Things.insertOne({ by: "alice" }), Effect.never)))
      )
      const second = yield* until(asOwner(look), ({ transactions }) => transactions.length === 1)
      expect(yield* asOwner(kill(second.transactions[0]?.session ?? ""))).toBe(true)
      expect((yield* asOwner(look)).transactions).toEqual([])
      yield* Fiber.interrupt(again)
    }))

  it.scoped("what a user may not see is no proof that there is none: databases and collections without rights are said", () =>
    Effect.gen(function*() {
      const { asOwner, his } = yield* users
      const asBob = Effect.provideService(MongoClient.MongoClient, his)
      yield* asOwner(Lease.make("cleaner", { database: "secret" }).acquire)
      yield* asOwner(Lease.make("reporter", { database: "shop" }).acquire)
      const look = gather({ databases: [] }, undefined)
      const all = yield* asOwner(look)
      expect(all.missing).toEqual([])
      expect(all.leases).toMatchObject([{ database: "secret", name: "cleaner" }, {
        database: "shop",
        name: "reporter"
      }])

      const ofBob = yield* asBob(look)
      expect(ofBob.leases).toMatchObject([{ database: "shop", name: "reporter" }])
      expect(ofBob.missing.slice(3)).toEqual([
        { what: "databases that the user may not see", why: "needs the privilege listDatabases" }
      ])

      const one = { db: "secret", collection: "effect_mongo_session.leases" }
      const dave = { username: "dave", password: "of his own" }
      const admin = Database.make("admin")
      yield* asOwner(
        admin.command({ createRole: "leases", privileges: [{ resource: one, actions: ["find"] }], roles: [] })
      )
      yield* asOwner(admin.command({ createUser: dave.username, pwd: dave.password, roles: ["leases"] }))
      const asDave = Effect.provideService(MongoClient.MongoClient, yield* clientAs(dave))
      const ofDave = yield* asDave(look)
      expect(ofDave.leases).toMatchObject([{ database: "secret", name: "cleaner" }])
      expect(ofDave.missing.slice(3)).toEqual([
        { what: "databases that the user may not see", why: "needs the privilege listDatabases" },
        {
          what: "collections of secret that the user may not see",
          why: "needs the privilege listCollections on secret"
        }
      ])
    }))

  it.scoped("who may not ask how old a transaction may become is not told", () =>
    Effect.gen(function*() {
      const { hers } = yield* users
      const theirs = yield* clientAs(owner)
      const limitOf = ({ [inner]: { lifetime } }: MongoClient.Service) =>
        Effect.withFiberRuntime<unknown>((fiber) =>
          Effect.async((resume) => lifetime.ask(fiber, () => resume(Effect.sync(() => lifetime.limit))))
        )
      expect(yield* limitOf(hers)).toBe("unknown")
      expect(yield* limitOf(theirs)).toEqual(Duration.minutes(1))
    }))

  describe("the session of one user", () => {
    it.scoped("is not that of another who knows its id: he can neither use, nor refresh, nor kill it", () =>
      Effect.gen(function*() {
        const { asOwner, hers, his } = yield* users
        const asBob = Effect.provideService(MongoClient.MongoClient, his)
        yield* Effect.gen(function*() {
          const session = yield* Session.Session
          const uids = Effect.map(
            asOwner(Stream.runCollect(SessionCommands.listLocalSessions({ allUsers: true }))),
            (all) => Chunk.toReadonlyArray(all).filter(({ lsid }) => lsid.id.uuid === session.id.uuid)
          )
          yield* Transaction.run(Effect.gen(function*() {
            yield* Things.insertOne({ by: "alice" })
            const [own] = yield* uids
            expect(own && Option.getOrNull(own.user)).toBe("alice@admin")

            // Used: the same id with the number of her transaction is a session of his own, that has none.
            const theft = yield* Effect.flip(
              Effect.tryPromise((signal) =>
                Command.adminCommand(his.driver, { commitTransaction: 1, autocommit: false }, signal, {
                  lsid: DriverSession.toLsid(session.id),
                  txnNumber: 1
                })
              )
            )
            expect(theft.error).toMatchObject({ code: 251 })

            yield* asBob(SessionCommands.refreshSessions([session.id]))
            const known = yield* uids
            expect(known.map(({ user }) => Option.getOrNull(user)).sort()).toEqual(["alice@admin", "bob@admin"])
            expect(known.find(({ user }) => Option.contains(user, "alice@admin"))?.lastUse).toEqual(own?.lastUse)

            yield* asBob(SessionCommands.killSessions([session.id]))
            yield* asBob(SessionCommands.endSessions([session.id]))
            yield* asBob(SessionCommands.killMySessions)
            yield* Things.insertOne({ by: "alice", after: "all of it" })
          }))
          expect(yield* Things.countDocuments({ by: "alice" })).toBe(2)
        }).pipe((effect) => Session.scoped(effect), Effect.provideService(MongoClient.MongoClient, hers))
      }))

    it.scoped("is not seen by another, nor are its transaction and its cursor", () =>
      Effect.gen(function*() {
        const { asOwner, hers, his } = yield* users
        const asBob = Effect.provideService(MongoClient.MongoClient, his)
        yield* Effect.gen(function*() {
          yield* Things.insertMany(Array.from({ length: 10 }, (_, index) => ({ index })))
          const session = yield* Session.Session
          const cursor = yield* session.use((driverSession) =>
            hers.driver.db("shop").command({ find: "things", batchSize: 2 }, { session: driverSession })
          )
          const stolen = Session.detached(
            asBob(Database.make("shop").command({ getMore: cursor["cursor"].id, collection: "things" }))
          )
          expect(yield* Effect.flip(stolen)).toMatchObject(isUnauthorized)

          yield* Transaction.run(Effect.gen(function*() {
            yield* Things.insertOne({ seen: false })
            const seen = yield* asBob(Stream.runCollect(SessionCommands.listLocalSessions()))
            expect(Chunk.toReadonlyArray(seen).every(({ user }) => Option.contains(user, "bob@admin"))).toBe(true)
            expect(yield* asBob(Stream.runCount(SessionCommands.currentTransactions()))).toBe(0)
            expect(yield* asOwner(Stream.runCount(SessionCommands.currentTransactions({ allUsers: true })))).toBe(1)
          }))
        }).pipe((effect) => Session.scoped(effect), Effect.provideService(MongoClient.MongoClient, hers))
      }))

    it.scoped("is told of after a lost conflict to its own user alone, and to who has the privilege for it", () =>
      Effect.gen(function*() {
        const { asOwner } = yield* users
        const as = (who: MongoServer.Credentials, appName: string) =>
          Effect.map(
            clientAs(who, { driver: { appName } }),
            (client) => Effect.provideService(MongoClient.MongoClient, client)
          )
        const herOther = yield* as(alice, "her other program")
        const his = yield* as(bob, "his program")
        const hers = yield* as(alice, "her program")
        const write = (_id: string) => Things.updateOne({ _id }, { $inc: { n: 1 } }, { upsert: true })
        yield* asOwner(Effect.all([write("hers"), write("his")]))
        const lose = Effect.flip(Transaction.run(write("hers"), { retry: Schedule.recurs(0) }))
        const [byAlice, byOwner] = yield* herOther(Transaction.run(Effect.zipRight(
          write("hers"),
          Transaction.outside(his(Transaction.run(Effect.zipRight(
            write("his"),
            Transaction.outside(Effect.all([hers(lose), asOwner(lose)]))
          ))))
        )))
        const namesOf = (error: typeof byAlice) =>
          error._tag === "TransactionAborted"
            ? error.conflict?.server?.transactions.map(({ appName }) => appName).sort()
            : error
        expect(byAlice).toMatchObject({ conflict: { server: { seen: "own" } } })
        expect(namesOf(byAlice)).toEqual(["her other program"])
        expect(byAlice.message).toContain("of the same user: \"her other program\" for")
        expect(byOwner).toMatchObject({ conflict: { server: { seen: "all" } } })
        expect(namesOf(byOwner)).toEqual(["her other program", "his program"])
      }))

    it.scoped("cannot be listed or killed by who has no privilege for it: each command is Unauthorized", () =>
      Effect.gen(function*() {
        const { hers, his } = yield* users
        const session = yield* Session.make().pipe(Effect.provideService(MongoClient.MongoClient, hers))
        yield* session.use((driverSession) => hers.driver.db("shop").command({ ping: 1 }, { session: driverSession }))
        const [own] = Chunk.toReadonlyArray(
          yield* Stream.runCollect(SessionCommands.listLocalSessions()).pipe(
            Effect.provideService(MongoClient.MongoClient, hers)
          )
        )
        if (own === undefined) throw new Error("the session is not listed")
        const refused: ReadonlyArray<Effect.Effect<void, { readonly _tag: string }, MongoClient.MongoClient>> = [
          SessionCommands.killAllSessionsByPattern([own]),
          SessionCommands.killAllSessionsByPattern([{ uid: own.lsid.uid }]),
          SessionCommands.killAllSessions([{ user: "alice", db: "admin" }]),
          SessionCommands.killEverySession,
          Stream.runDrain(SessionCommands.listLocalSessions({ allUsers: true })),
          Stream.runDrain(SessionCommands.listLocalSessions({ users: [{ user: "alice", db: "admin" }] })),
          Stream.runDrain(SessionCommands.listSessions({ allUsers: true })),
          Stream.runDrain(SessionCommands.currentTransactions({ allUsers: true }))
        ]
        for (const one of refused) {
          const error = yield* Effect.flip(Effect.provideService(one, MongoClient.MongoClient, his))
          expect(error).toBeInstanceOf(MongoError)
          expect(error).toMatchObject(isUnauthorized)
        }
        yield* session.use((driverSession) => hers.driver.db("shop").command({ ping: 1 }, { session: driverSession }))
      }))
  })
})

describe("a user by certificate", () => {
  it.scopedLive("has sessions and transactions over TLS, as the subject of the certificate", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      const file = (name: string, text: string) => {
        FileSystem.writeFileSync(Path.join(folder, name), text)
        return Path.join(folder, name)
      }
      const { authority, server: ofServer, user } = Certificates.make("carol")
      const caFile = file("ca.pem", authority)
      const server = yield* MongoServer.make({
        tls: { caFile, certificateKeyFile: file("server.pem", ofServer) },
        auth: owner
      })
      const deployment = yield* MongoClient.make({ url: Redacted.make(server.urlAs(Option.some(owner))) })
      yield* createUser("CN=carol", undefined, "$external").pipe(
        Effect.provideService(MongoClient.MongoClient, deployment)
      )
      const { host } = new URL(server.url)
      const connect = (driver: MongoClient.Options["driver"]) =>
        MongoClient.make({
          url: Redacted.make(`mongodb://${host}/?replicaSet=rs0`),
          driver: { tls: true, tlsCAFile: caFile, serverSelectionTimeoutMS: 5000, ...driver }
        })
      const tlsCertificateKeyFile = file("carol.pem", user)
      const carol = yield* connect({ tlsCertificateKeyFile, authMechanism: "MONGODB-X509" })
      const seen = yield* Transaction.run(Effect.gen(function*() {
        yield* Things.insertOne({ by: "carol" })
        return yield* Stream.runCollect(SessionCommands.listLocalSessions())
      })).pipe((effect) => Session.scoped(effect), Effect.provideService(MongoClient.MongoClient, carol))
      expect(Chunk.toReadonlyArray(seen).map(({ user }) => Option.getOrNull(user))).toContain("CN=carol@$external")

      const withoutCertificate = yield* Effect.flip(connect({ authMechanism: "MONGODB-X509" }))
      expect(withoutCertificate).toMatchObject({ _tag: "MongoError", reason: "AuthenticationFailed" })
    }))
})
