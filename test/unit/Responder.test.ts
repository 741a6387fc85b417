import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import { BSON, MongoClient } from "mongodb"
import * as Responder from "../support/server/responder.js"
import { connect } from "../support/server/testServer.js"
import * as Wire from "../support/server/wire.js"

const document = (value: object): Buffer => Buffer.from(BSON.serialize(value))

const message = (requestId: number, opCode: number, ...parts: ReadonlyArray<Buffer>): Buffer => {
  const body = Buffer.concat(parts)
  const head = Buffer.alloc(16)
  head.writeInt32LE(16 + body.length, 0)
  head.writeInt32LE(requestId, 4)
  head.writeInt32LE(opCode, 12)
  return Buffer.concat([head, body])
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}

const sequence = (name: string, ...documents: ReadonlyArray<object>): Buffer => {
  const content = Buffer.concat([Buffer.from(`${name}\0`), ...documents.map(document)])
  return Buffer.concat([Buffer.from([1]), int32(content.length + 4), content])
}

const opMsg = (requestId: number, command: object, ...sections: ReadonlyArray<Buffer>): Buffer =>
  message(requestId, 2013, int32(0), ...sections, Buffer.from([0]), document(command))

describe("wire", () => {
  it("folds document sequences into the command, wherever they stand", () => {
    const bytes = opMsg(7, { insert: "things", $db: "shop" }, sequence("documents", { a: 1 }, { a: 2 }))
    const [received] = new Wire.Reader().push(bytes)
    assert.strictEqual(received?.name, "insert")
    assert.deepStrictEqual(received?.command(), { insert: "things", $db: "shop", documents: [{ a: 1 }, { a: 2 }] })
  })

  it("understands the OP_QUERY with which drivers say hello, and answers with an OP_REPLY", () => {
    const query = message(
      9,
      2004,
      int32(0),
      Buffer.from("admin.$cmd\0"),
      int32(0),
      int32(-1),
      document({ isMaster: 1 })
    )
    const [received] = new Wire.Reader().push(query)
    assert(received !== undefined)
    assert.strictEqual(received.name, "isMaster")
    const reply = Wire.reply(received, Wire.encode({ ok: 1 }))
    assert.deepStrictEqual([reply.readInt32LE(8), reply.readInt32LE(12), reply.readInt32LE(32)], [9, 1, 1])
    assert.deepStrictEqual(BSON.deserialize(reply.subarray(36)), { ok: 1 })
  })

  it("leaves out the checksum of a message that has one", () => {
    const plain = opMsg(1, { ping: 1 })
    const bytes = Buffer.concat([plain, int32(0x1234)])
    bytes.writeInt32LE(bytes.length, 0)
    bytes.writeInt32LE(1, 16)
    assert.deepStrictEqual(new Wire.Reader().push(bytes)[0]?.command(), { ping: 1 })
  })

  it("refuses bytes that are no message instead of waiting for more", () => {
    assert.throws(() => new Wire.Reader().push(Buffer.alloc(16)), RangeError)
    assert.throws(() => new Wire.Reader().push(message(1, 42)), RangeError)
  })

  it.prop(
    "reads the same messages however the bytes are cut",
    [FastCheck.array(FastCheck.nat(60), { minLength: 1, maxLength: 5 }), FastCheck.array(FastCheck.nat(400))],
    ([sizes, cuts]) => {
      const bytes = Buffer.concat(sizes.map((size, n) => opMsg(n, { ping: "x".repeat(size) })))
      const ends = [...cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length]
      const reader = new Wire.Reader()
      const read = ends.flatMap((end, n) => reader.push(bytes.subarray(ends[n - 1] ?? 0, end)))
      assert.deepStrictEqual(read.map((one) => one.command()), sizes.map((size) => ({ ping: "x".repeat(size) })))
    }
  )
})

describe("Responder", () => {
  it.scoped("closes the connection in the middle of a command when told so", () =>
    Effect.gen(function*() {
      const responder = yield* Responder.make({ handlers: { ping: "close" } })
      const client = yield* connect(responder.url)
      const error = yield* Effect.flip(Effect.tryPromise(() => client.db("shop").command({ ping: 1 })))
      assert.match(String(error.error), /MongoNetworkError: connection \d+ to \S+ closed/)
    }))

  it.scoped("answers an unknown command as a server does", () =>
    Effect.gen(function*() {
      const responder = yield* Responder.make()
      const client = yield* connect(responder.url)
      const error = yield* Effect.flip(Effect.tryPromise(() => client.db("shop").command({ conjure: 1 })))
      assert.propertyVal(error.error, "code", 59)
    }))

  it.scoped("is refused by the driver when it plays a server of MongoDB 3.4", () =>
    Effect.gen(function*() {
      const responder = yield* Responder.make({ hello: { maxWireVersion: 5 } })
      const error = yield* Effect.flip(
        Effect.tryPromise(() => new MongoClient(responder.url, { serverSelectionTimeoutMS: 500 }).connect())
      )
      assert.match(String(error.error), /maximum wire version 5/)
    }))

  it.scoped("plays a deployment without sessions: the driver then sends no lsid", () =>
    Effect.gen(function*() {
      const sessions = yield* Responder.make()
      const none = yield* Responder.make({ hello: { logicalSessionTimeoutMinutes: undefined } })
      for (const responder of [sessions, none]) {
        const client = yield* connect(responder.url)
        yield* Effect.promise(() => client.db("shop").collection("things").find().toArray())
      }
      const lsids = yield* Effect.forEach([sessions, none], ({ named }) =>
        Effect.map(named("find"), (finds) => finds.map(({ command }) => Responder.lsidOf(command)?.length)))
      assert.deepStrictEqual(lsids, [[32], [undefined]])
    }))

  it.scoped("plays a standalone server: no set name, no logical time", () =>
    Effect.gen(function*() {
      const responder = yield* Responder.make({ hello: { setName: undefined } })
      const client = yield* connect(responder.url)
      const session = client.startSession()
      yield* Effect.promise(() => client.db("shop").command({ ping: 1 }, { session }))
      assert.isUndefined(session.operationTime)
      assert.notInclude(responder.url, "replicaSet")
      yield* Effect.promise(() => session.endSession())
    }))

  it.scoped("advances logical time with every reply, so that causal sessions have something to wait for", () =>
    Effect.gen(function*() {
      const responder = yield* Responder.make()
      const client = yield* connect(responder.url)
      const session = client.startSession()
      const things = client.db("shop").collection("things")
      yield* Effect.promise(() => things.insertOne({}, { session }))
      const first = session.operationTime
      yield* Effect.promise(() => things.find({}, { session }).toArray())
      assert(first !== undefined && session.operationTime?.greaterThan(first))
      const [find] = yield* responder.named("find")
      assert.deepStrictEqual(find?.command["readConcern"], { afterClusterTime: first })
      yield* Effect.promise(() => session.endSession())
    }))

  it.scoped("holds a reply back for as long as an effect takes, and sees what overlaps meanwhile", () =>
    Effect.gen(function*() {
      const release = yield* Deferred.make<void>()
      const responder = yield* Responder.make({
        handlers: { find: () => Effect.as(Deferred.await(release), { cursor: { firstBatch: [], id: 0n, ns: "a.b" } }) }
      })
      const client = yield* connect(responder.url)
      const session = client.startSession()
      const things = client.db("shop").collection("things")
      const find = yield* Effect.fork(Effect.promise(() => things.find({}, { session }).toArray()))
      yield* responder.awaitCommand("find")
      assert.deepStrictEqual(yield* responder.overlaps, [])
      // the driver itself does not keep a session's operations apart
      yield* Effect.promise(() => things.countDocuments({}, { session }))
      assert.deepStrictEqual(
        (yield* responder.overlaps).map((pair) => pair.map(({ name }) => name)),
        [["find", "aggregate"]]
      )
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(find)
      yield* Effect.promise(() => things.countDocuments({}, { session }))
      assert.lengthOf(yield* responder.overlaps, 1)
      yield* Effect.promise(() => session.endSession())
    }))

  it.scoped("does not answer a write that asks for no acknowledgement, and takes it as done", () =>
    Effect.gen(function*() {
      const responder = yield* Responder.make()
      const client = yield* connect(responder.url)
      const things = client.db("shop").collection("things", { writeConcern: { w: 0 } })
      yield* Effect.promise(() => things.insertOne({ a: 1 }))
      const insert = yield* responder.awaitCommand("insert")
      assert.deepInclude(insert.command, { writeConcern: { w: 0 } })
      assert.isDefined(insert.repliedAt)
    }))

  it.scoped("never answers a command that is to hang; a lost connection ends it", () =>
    Effect.gen(function*() {
      const responder = yield* Responder.make({ handlers: { ping: "hang" } })
      const client = yield* connect(responder.url)
      const ping = yield* Effect.fork(Effect.exit(Effect.tryPromise(() => client.db("shop").command({ ping: 1 }))))
      assert.isUndefined((yield* responder.awaitCommand("ping")).repliedAt)
      assert.isAtLeast(yield* responder.connections, 1)
      yield* responder.disconnect
      assert.strictEqual((yield* Fiber.join(ping))._tag, "Failure")
      assert.isDefined((yield* responder.awaitCommand("ping")).repliedAt)
    }))

  it.scoped("runs scripts by count, replaces them, and forgets on request", () =>
    Effect.gen(function*() {
      const responder = yield* Responder.make({
        handlers: { ping: (_, { count }) => count === 0 ? { ok: 0, code: 91, errmsg: "going down" } : { n: count } }
      })
      const client = yield* connect(responder.url)
      const ping = Effect.tryPromise(() => client.db("shop").command({ ping: 1 }))
      assert.propertyVal((yield* Effect.flip(ping)).error, "code", 91)
      assert.propertyVal(yield* ping, "n", 1)
      yield* responder.on("ping", { n: 42 })
      assert.propertyVal(yield* ping, "n", 42)
      assert.lengthOf(yield* responder.named("ping"), 3)
      yield* responder.clear
      assert.deepStrictEqual(yield* responder.commands, [])
    }))

  it.scoped("plays a primary that the driver watches calmly", () =>
    Effect.gen(function*() {
      const responder = yield* Responder.make()
      const events: Array<string> = []
      const client = new MongoClient(responder.url, { heartbeatFrequencyMS: 500, minHeartbeatFrequencyMS: 10 })
      client.on("serverHeartbeatFailed", (event) => events.push(String(event.failure)))
      const beats = new Promise<void>((resolve) => {
        let left = 3
        client.on("serverHeartbeatSucceeded", () => --left === 0 ? resolve() : undefined)
      })
      yield* Effect.acquireRelease(Effect.promise(() => client.connect()), () => Effect.promise(() => client.close()))
      yield* Effect.promise(() => beats)
      assert.deepStrictEqual(events, [])
      assert.deepStrictEqual(yield* responder.commands, [])
    }))

  it.effect("has no connection left when its scope has closed, though a client is connected and a reply is due", () =>
    Effect.gen(function*() {
      const client = yield* Effect.scoped(Effect.gen(function*() {
        const responder = yield* Responder.make({ handlers: { ping: () => Effect.never } })
        const client = new MongoClient(responder.url, { serverSelectionTimeoutMS: 100 })
        client.db("shop").command({ ping: 1 }).catch(() => undefined)
        yield* responder.awaitCommand("ping")
        return client
      }))
      const error = yield* Effect.flip(Effect.tryPromise(() => client.db("shop").command({ ping: 1 })))
      assert.match(String(error.error), /ECONNREFUSED|closed/)
      yield* Effect.promise(() => client.close())
    }))
})

describe("overlaps", () => {
  const lsid = { id: new BSON.UUID() }
  const other = { id: new BSON.UUID() }
  const command = (at: number, repliedAt: number | undefined, session?: object): Responder.Received => ({
    at,
    repliedAt,
    connectionId: 1,
    name: "ping",
    command: session === undefined ? {} : { lsid: session }
  })

  it("are pairs of one session only, open ones included, touching ones not", () => {
    const received = [
      command(1, 4, lsid),
      command(2, undefined, lsid),
      command(3, 5, other),
      command(6, 7, other),
      command(8, 9),
      command(10, 11, lsid)
    ]
    assert.deepStrictEqual(
      Responder.overlapsOf(received).map((pair) => pair.map(({ at }) => at)),
      [[1, 2], [2, 10]]
    )
  })
})
