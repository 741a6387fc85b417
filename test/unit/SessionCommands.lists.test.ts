import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as fc from "effect/FastCheck"
import * as Stream from "effect/Stream"
import type { Document } from "mongodb"
import { Binary, UUID } from "mongodb"
import { inner } from "../../src/internal/session/client.js"
import * as MongoClient from "../../src/MongoClient.js"
import { MongoError } from "../../src/MongoError.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import { SessionMisconfigured } from "../../src/SessionErrors.js"
import type { SessionId } from "../../src/SessionId.js"
import { digest, idAt, ids, nobody, ofIds, refused, secret, setUp } from "../support/data/sessionCommands.js"

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

  const revoked = () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  }
  /** What only a caller without types can give, and the paths of what is wrong with it; none where that is the whole. */
  const noLists: ReadonlyArray<readonly [what: string, list: () => unknown, paths: ReadonlyArray<string>]> = [
    ["with a text and an object", () => [secret, {}], ["0", "1"]],
    ["with nothing in it", () => [undefined, null], ["0", "1"]],
    ["that is null", () => null, []],
    ["that is a number", () => 5, []]
  ]

  const refusals = (list: () => unknown) => {
    const given = list() as never
    const users = { users: given }
    return [
      ...ofIds.map(([, command]) => [[], command(given)] as const),
      [[], SessionCommands.killAllSessions(given)] as const,
      [["users"], Stream.runDrain(SessionCommands.listSessions(users))] as const,
      [["users"], Stream.runDrain(SessionCommands.listLocalSessions(users))] as const
    ]
  }

  it.scoped.each(noLists)(
    "a list %s is refused before anything is sent, with all issues",
    ([, list, paths]) =>
      Effect.gen(function*() {
        const { responder, run } = yield* setUp()
        for (const [below, refused] of refusals(list)) {
          const error = yield* Effect.flip(run(refused))
          const expected = paths.length === 0 ? [below] : paths.map((path) => [...below, path])
          expect(error._tag === "SessionMisconfigured" && error.issues.map(({ path }) => path)).toEqual(expected)
          expect(error.message).not.toContain(secret)
        }
        expect(yield* responder.commands).toEqual([])
      })
  )

  it.scoped("a list that cannot be read is refused before anything is sent", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp()
      for (const [, refused] of [...refusals(revoked), ...refusals(() => [revoked()])]) {
        expect(yield* Effect.flip(run(refused))).toBeInstanceOf(SessionMisconfigured)
      }
      expect(yield* responder.commands).toEqual([])
    }))

  it.scoped("a hundred of many issues are told, and patterns that cannot be read are refused", () =>
    Effect.gen(function*() {
      const { responder, run } = yield* setUp()
      const many = yield* Effect.flip(run(SessionCommands.killSessions(ids(25_001).map(({ uuid }) => uuid) as never)))
      expect(many._tag === "SessionMisconfigured" && many.issues).toHaveLength(101)
      const pattern = {
        get lsid(): never {
          throw new Error(secret)
        }
      }
      const refused = yield* Effect.flip(run(SessionCommands.killAllSessionsByPattern([pattern])))
      expect(refused).toBeInstanceOf(SessionMisconfigured)
      expect(yield* responder.commands).toEqual([])
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
