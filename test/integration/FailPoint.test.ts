import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import { MongoError } from "mongodb"
import type { Document, MongoClient } from "mongodb"
import * as FailPoint from "../../src/testing/FailPoint.js"
import { live } from "../../src/testing/internal/live.js"
import * as Responder from "../support/server/responder.js"
import * as TestServer from "../support/server/testServer.js"

const run = (client: MongoClient, command: Document) =>
  Effect.tryPromise({
    try: () => client.db("shop").command(command),
    catch: (error) => error instanceof MongoError ? error : assert.fail(String(error))
  })

const ping = (client: MongoClient) => run(client, { ping: 1 })

describe("a fail point that cannot be set", () => {
  const connected = (handlers: Responder.Options["handlers"]) =>
    Effect.gen(function*() {
      const responder = yield* Responder.make({ handlers })
      const client = yield* TestServer.connect(responder.url)
      return { client, responder }
    })

  it.scoped("names the server's setting that is missing", () =>
    Effect.gen(function*() {
      const missing = { ok: 0, code: 59, codeName: "CommandNotFound", errmsg: "no such command" }
      const { client } = yield* connected({ configureFailPoint: missing })
      const error = yield* Effect.flip(FailPoint.failCommand(client, { failCommands: ["ping"], errorCode: 1 }))
      assert.strictEqual(error._tag, "FailPointFailed")
      assert.strictEqual(error.code, 59)
      assert.match(error.message, /code 59.*enableTestCommands=1/)
    }))

  it.scoped("is told by the server, whatever it refuses", () =>
    Effect.gen(function*() {
      const { client } = yield* connected({ configureFailPoint: { ok: 0, code: 9, errmsg: "bad mode" } })
      const error = yield* Effect.flip(FailPoint.failCommand(client, { failCommands: [] }))
      assert.strictEqual(error.code, 9)
      assert.instanceOf(error.cause, MongoError)
    }))

  it.effect("off again is logged, and does not hide what the effect gave", () =>
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ message }) => void logged.push(message))
      const given = yield* Effect.scoped(Effect.gen(function*() {
        const { client } = yield* connected({
          configureFailPoint: ({ mode }) => mode === "off" ? { ok: 0, code: 9, errmsg: "no" } : {}
        })
        return yield* Effect.succeed(42).pipe(FailPoint.during(client, { failCommands: ["ping"] }))
      })).pipe(Effect.provide(Logger.add(logger)))
      assert.strictEqual(given, 42)
      assert.match(String(logged), /A fail point may still be set/)
    }))

  const always = { failCommands: ["ping"], mode: "alwaysOn", errorCode: 1 } as const

  it.scoped("is given up after its limit, and switched off with the scope: the server may have set it", () =>
    Effect.gen(function*() {
      const { client, responder } = yield* connected({ configureFailPoint: ({ mode }) => mode === "off" ? {} : "hang" })
      const [time, error] = yield* FailPoint.failCommand(client, always).pipe(
        Effect.flip,
        Effect.timed,
        live,
        Effect.scoped
      )
      assert.match(error.message, /there was no answer within 10 seconds/)
      assert.isBelow(Duration.toSeconds(time), 60)
      const modes = (yield* responder.named("configureFailPoint")).map(({ command }) => command["mode"])
      assert.deepStrictEqual(modes, ["alwaysOn", "off"])
    }))

  it.scoped("off again is given up after its limit, also where its scope is closed by an interruption", () =>
    Effect.gen(function*() {
      const { client, responder } = yield* connected({ configureFailPoint: ({ mode }) => mode === "off" ? "hang" : {} })
      const fiber = yield* Effect.fork(FailPoint.during(client, always)(Effect.never))
      yield* responder.awaitCommand("configureFailPoint")
      const [time, exit] = yield* Effect.timed(Fiber.interrupt(fiber)).pipe(live)
      assert.isTrue(Exit.isInterrupted(exit))
      assert.isBelow(Duration.toSeconds(time), 60)
    }))

  it.scoped("that is interrupted while it is set is switched off, for the server sets it all the same", () =>
    Effect.gen(function*() {
      const answered = yield* Deferred.make<Responder.Reply>()
      const { client, responder } = yield* connected({
        configureFailPoint: ({ mode }) => mode === "off" ? {} : Deferred.await(answered)
      })
      const fiber = yield* Effect.fork(FailPoint.during(client, always)(Effect.never))
      yield* responder.awaitCommand("configureFailPoint")
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.yieldNow()
      yield* Deferred.succeed(answered, {})
      yield* Fiber.join(interruption)
      const modes = (yield* responder.named("configureFailPoint")).map(({ command }) => command["mode"])
      assert.deepStrictEqual(modes, ["alwaysOn", "off"])
    }))

  it.scoped("is not switched off where the server has refused it: there may be another", () =>
    Effect.gen(function*() {
      const { client, responder } = yield* connected({ configureFailPoint: { ok: 0, code: 9, errmsg: "bad mode" } })
      yield* Effect.flip(Effect.scoped(FailPoint.failCommand(client, always)))
      assert.lengthOf(yield* responder.named("configureFailPoint"), 1)
    }))

  it.scoped("sends the options in the server's words, and nothing that was not asked for", () =>
    Effect.gen(function*() {
      const { client, responder } = yield* connected({})
      yield* FailPoint.failCommand(client, { failCommands: ["insert"] })
      yield* FailPoint.failCommand(client, {
        failCommands: ["insert", "find"],
        mode: { skip: 2 },
        errorCode: 112,
        errorLabels: [],
        closeConnection: false,
        blockFor: "1.5 millis",
        writeConcernError: { code: 91 },
        appName: "shop"
      })
      const [plain, full] = yield* responder.named("configureFailPoint")
      assert.deepInclude(plain?.command, {
        configureFailPoint: "failCommand",
        mode: { times: 1 },
        data: { failCommands: ["insert"] }
      })
      assert.deepInclude(full?.command, {
        mode: { skip: 2 },
        data: {
          failCommands: ["insert", "find"],
          errorCode: 112,
          errorLabels: [],
          closeConnection: false,
          blockConnection: true,
          blockTimeMS: 2,
          writeConcernError: { code: 91 },
          appName: "shop"
        }
      })
    }))
})

describe("a fail point", () => {
  it.layer(TestServer.own())("on a server of its own", (it) => {
    it.scoped("makes a command fail with code and labels, as often as asked", () =>
      Effect.gen(function*() {
        const client = yield* TestServer.driver()
        yield* FailPoint.failCommand(client, {
          failCommands: ["ping"],
          mode: { times: 2 },
          errorCode: 112,
          errorLabels: ["TransientTransactionError"]
        })
        for (const _ of [1, 2]) {
          const error = yield* Effect.flip(ping(client))
          assert.strictEqual(error.code, 112)
          assert.deepStrictEqual(error.errorLabels, ["TransientTransactionError"])
        }
        yield* ping(client)
      }))

    it.scoped("is off again when its scope has closed", () =>
      Effect.gen(function*() {
        const client = yield* TestServer.driver()
        const always = { failCommands: ["ping"], mode: "alwaysOn", errorCode: 13 } as const
        const error = yield* Effect.flip(ping(client).pipe(FailPoint.during(client, always)))
        assert.propertyVal(error, "code", 13)
        yield* ping(client)
      }))

    it.scoped("is off again after an interruption", () =>
      Effect.gen(function*() {
        const client = yield* TestServer.driver()
        const on = yield* Deferred.make<void>()
        const fiber = yield* Deferred.succeed(on, undefined).pipe(
          Effect.zipRight(Effect.never),
          FailPoint.during(client, { failCommands: ["ping"], mode: "alwaysOn", errorCode: 13 }),
          Effect.fork
        )
        yield* Deferred.await(on)
        yield* Effect.flip(ping(client))
        yield* Fiber.interrupt(fiber)
        yield* ping(client)
      }))

    it.scoped("hits only the clients of the given name", () =>
      Effect.gen(function*() {
        const client = yield* TestServer.driver()
        const named = yield* TestServer.driver({ appName: "hit me" })
        yield* FailPoint.failCommand(client, {
          failCommands: ["ping"],
          mode: "alwaysOn",
          errorCode: 13,
          appName: "hit me"
        })
        yield* ping(client)
        yield* Effect.flip(ping(named))
      }))

    it.scoped("closes the connection, or keeps the command waiting", () =>
      Effect.gen(function*() {
        const client = yield* TestServer.driver({ retryReads: false })
        yield* Effect.flip(ping(client)).pipe(
          FailPoint.during(client, { failCommands: ["ping"], closeConnection: true }),
          Effect.tap((error) => Effect.sync(() => assert.propertyVal(error, "name", "MongoNetworkError")))
        )
        const [time] = yield* ping(client).pipe(
          Effect.timed,
          FailPoint.during(client, { failCommands: ["ping"], blockFor: "300 millis" }),
          live
        )
        assert.isAtLeast(Duration.toMillis(time), 300)
      }))

    it.scoped("executes the command and reports a write concern error", () =>
      Effect.gen(function*() {
        const client = yield* TestServer.driver({ retryWrites: false })
        const things = client.db(yield* TestServer.database).collection("things")
        yield* FailPoint.failCommand(client, {
          failCommands: ["insert"],
          writeConcernError: { code: 64, errmsg: "waiting for replication timed out" }
        })
        const error = yield* Effect.flip(Effect.tryPromise(() => things.insertOne({})))
        assert.propertyVal(error.error, "code", 64)
        assert.strictEqual(yield* Effect.promise(() => things.countDocuments()), 1)
      }))
  })
})
