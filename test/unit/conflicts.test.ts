import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { Binary, MongoClient } from "mongodb"
import { inner, type Service } from "../../src/internal/session/client.js"
import { Contender, contender, Contention, of } from "../../src/internal/transaction/contention.js"
import { HotKeys } from "../../src/internal/transaction/hotKeys.js"
import { ask, transactionsOf } from "../../src/internal/transaction/others.js"
import { Report } from "../../src/internal/transaction/report.js"
import { type Conflict, described, describedView } from "../../src/internal/values/conflicts.js"
import { MongoError } from "../../src/MongoError.js"

const namespace = "shop.stock"
const secret = "secret-4711"

const write = (filter: object, operation = "updateOne") => ({ operation, namespace, filter })

const conflict = (facts: Partial<{ code: number; reason: MongoError["reason"] }> = {}) =>
  new MongoError({ reason: "WriteConflict", operation: "updateOne", namespace, labels: [], ...facts })

const writer = (contention: Contention, options: ConstructorParameters<typeof Contender>[2] = {}) =>
  Effect.withFiberRuntime<Contender>((fiber) => Effect.succeed(new Contender(fiber, contention, options)))

describe("what is known of a conflict", () => {
  it.effect("is who else of the client has written the same and is open, also where none of them queues", () =>
    Effect.gen(function*() {
      const contention = new Contention()
      const manner = { doesQueue: false }
      const [holder, other, gone, loser] = [
        yield* writer(contention, manner),
        yield* writer(contention),
        yield* writer(contention),
        yield* writer(contention, manner)
      ]
      holder.starts(0n)
      yield* TestClock.adjust("3 seconds")
      holder.begins(write({ _id: secret, left: { $gt: 0 } }, "findOneAndUpdate"))
      other.begins(write({ _id: "another" }))
      gone.begins(write({ _id: secret }))
      gone.ends()
      const lost = write({ _id: secret })
      loser.begins(lost)
      expect(loser.loses(conflict(), lost)).toEqual({
        operation: "updateOne",
        namespace,
        fields: ["_id"],
        document: 1,
        rivals: [{ operation: "findOneAndUpdate", age: Duration.seconds(3), span: undefined }]
      })
      // Who has lost holds nothing any more.
      expect(contention.writers.size).toBe(2)
      holder.ends()
      other.ends()
      expect(contention.writers.size).toBe(0)
    }))

  it.effect("is told for a lock that was not got in time, and for nothing else", () =>
    Effect.gen(function*() {
      const loser = yield* writer(new Contention())
      expect(loser.loses(conflict({ reason: "DuplicateKey", code: 11000 }), write({ _id: 1 }))).toBeUndefined()
      expect(loser.loses(conflict({ reason: "TimedOut", code: 50 }), write({ _id: 1 }))).toBeUndefined()
      expect(loser.loses(conflict({ reason: "TimedOut", code: 24 }), write({ _id: 1 }))).toMatchObject({
        fields: ["_id"]
      })
    }))

  it.effect("has the fields of a filter without an `_id`, and none where it searches by no value", () =>
    Effect.gen(function*() {
      const loser = yield* writer(new Contention(), { keepsValues: true })
      expect(loser.loses(conflict(), write({ sku: secret, left: { $gt: 0 }, place: 1 })))
        .toMatchObject({ fields: ["place", "sku"], values: { sku: secret, place: 1 } })
      expect((yield* writer(new Contention())).loses(conflict(), write({ left: { $gt: 0 } })))
        .toEqual({ operation: "updateOne", namespace, fields: [], rivals: [] })
      expect((yield* writer(new Contention())).loses(conflict())).toMatchObject({ fields: [] })
    }))

  it.effect("is found among a bounded number of writes", () =>
    Effect.gen(function*() {
      const contention = new Contention()
      for (let n = 0; n < 5000; n++) {
        const other = yield* writer(contention)
        other.begins(write({ _id: n }))
      }
      const late = yield* writer(contention)
      late.begins(write({ _id: secret }))
      expect((yield* writer(contention)).loses(conflict(), write({ _id: secret }))?.rivals).toEqual([])
    }))
})

describe("a message about a conflict", () => {
  const facts: Conflict = {
    operation: "updateOne",
    namespace,
    fields: ["_id"],
    document: 3,
    rivals: [{
      operation: "updateOne",
      age: Duration.millis(120),
      span: { name: "check\"out\n", traceId: "t", spanId: "s" }
    }]
  }

  it("names the number of the document, its fields, and who else has written it", () => {
    expect(described(facts)).toBe(
      "; document 3 by _id; also written here by updateOne in \"check\\\"out\\n\", open for 120ms"
    )
    expect(described({ ...facts, rivals: [], document: undefined })).toBe("")
  })

  it("names no field that may be a value, and values only if they were asked for", () => {
    const rivals: Conflict["rivals"] = []
    expect(described({ ...facts, rivals, fields: ["scores.ada@example.org", "sku"] }))
      .toBe("; document 3 by (a field), sku")
    expect(described({ ...facts, rivals, values: { _id: secret } })).toBe(`; document 3 by _id "${secret}"`)
    expect(described({ ...facts, rivals, values: { _id: "x".repeat(500) } }).length).toBeLessThan(120)
  })

  it("names others by their apps, never by their addresses, and is bounded", () => {
    const one = { age: Duration.seconds(2), client: "10.0.0.7:4711", session: "id", isHere: false }
    const transactions = [{ ...one, appName: "worker" }, one, { ...one, isHere: true }]
    expect(describedView({ seen: "all", transactions }))
      .toBe("; open on the server then: \"worker\" for 2s, one without a name for 2s and 1 of this client")
    expect(describedView({ seen: "own", transactions: [] })).toBe(
      "; open on the server then of the same user: no others"
    )
    expect(describedView({ seen: "nothing", transactions: [] })).toContain("did not tell")
    expect(describedView(undefined)).toBe("")
    const many = Array.from({ length: 20 }, (_, n) => ({ ...one, appName: `app ${n} ${"x".repeat(500)}` }))
    const text = describedView({ seen: "all", transactions: many })
    expect(text).toContain("and 15 more")
    expect(text.length).toBeLessThan(800)
  })
})

describe("the hottest keys", () => {
  const lost = (at: number) => ({
    operation: "updateOne",
    namespace,
    fields: ["_id"],
    isToKnown: at % 2 === 0,
    spans: ["checkout"],
    at
  })

  it("are counted, the hottest first, and 256 are kept", () => {
    const keys = new HotKeys()
    for (let n = 0; n < 1000; n++) {
      keys.count("hot", lost(n))
      keys.count(`once ${n}`, lost(n))
    }
    const report = new Report(keys)
    expect(report.keys).toHaveLength(256)
    expect(report.keys[0]).toEqual({
      document: 1,
      namespace,
      fields: ["_id"],
      values: undefined,
      conflicts: 1000,
      here: 500,
      operations: ["updateOne"],
      spans: ["checkout"],
      lastAt: new Date(999)
    })
    expect(report.conflicts).toBe(2000)
    expect(report.dropped).toBe(2000 - 1000 - 255)
  })

  it("are those of today: old ones make room, and the new ones keep their numbers", () => {
    const keys = new HotKeys()
    for (let n = 0; n < 256; n++) for (let times = 0; times < 100; times++) keys.count(`old ${n}`, lost(0))
    const day = 86_400_000
    const today = [1, 2].map(() => ["a", "b"].map((key) => keys.count(key, lost(day))))
    expect(today[1]).toEqual(today[0])
    expect(keys.keys.slice(0, 2).map(({ document }) => document)).toEqual(today[0])
  })

  it("are printed as a table", () => {
    const keys = new HotKeys()
    expect(String(new Report(keys))).toBe("0 conflicts")
    keys.count("one", { ...lost(0), operation: "findOneAndUpdate" })
    for (let n = 0; n < 12; n++) {
      keys.count("two", { ...lost(n), values: { _id: "tea\nfor two" }, spans: ["checkout", "restock"] })
    }
    keys.countUnknown()
    expect(String(new Report(keys)).split("\n")).toEqual([
      "conflicts  here  document  namespace   by               operations        spans",
      "       12     6         2  shop.stock  _id tea for two  updateOne         checkout, restock",
      "        1     1         1  shop.stock  _id              findOneAndUpdate  checkout",
      "14 conflicts"
    ])
  })
})

describe("the server's answer", () => {
  const id = (byte: number) => new Binary(new Uint8Array(16).fill(byte), 4)
  const uuid = (digit: number) => [8, 4, 4, 4, 12].map((length) => String(digit).repeat(length)).join("-")
  const reply = (firstBatch: unknown) => ({ cursor: { firstBatch } })

  it("tells of each transaction once, but for one's own", () => {
    const told = transactionsOf(
      reply([
        { appName: "worker", client: "10.0.0.7:4711", ns: "shop.stock", session: id(0x11), micros: 2_000_000 },
        { appName: "worker", session: id(0x11), micros: 1_000 },
        { session: id(0x22), micros: 1 },
        { session: id(0x33), micros: 1 }
      ]),
      uuid(2),
      (session) => session === uuid(3)
    )
    expect(told).toEqual([
      {
        appName: "worker",
        client: "10.0.0.7:4711",
        namespace: "shop.stock",
        age: Duration.seconds(2),
        session: uuid(1),
        isHere: false
      },
      { age: Duration.zero, session: uuid(3), isHere: true }
    ])
  })

  it.each([undefined, {}, reply(undefined), reply("x"), reply([null, 1, {}, { session: id(1), micros: "x" }])])(
    "is nothing where it is not understood: %j",
    (told) => expect(transactionsOf(told, "", () => false)).toEqual([])
  )

  const client = (answer: (all: boolean) => Effect.Effect<object, MongoError>): Service => ({
    settleTimeout: Duration.seconds(30),
    [inner]: {
      keeper: { members: () => [] },
      adminCommand: ({ pipeline: [{ $currentOp }] }: { pipeline: [{ $currentOp: { allUsers: boolean } }] }) =>
        answer($currentOp.allUsers)
    }
  } as unknown as Service)

  const unauthorized = new MongoError({ reason: "Unauthorized", operation: "aggregate", labels: [], code: 13 })

  it.effect("is about one's own user where others may not be asked for", () =>
    Effect.gen(function*() {
      const view = yield* ask(
        client((all) => all ? Effect.fail(unauthorized) : Effect.succeed(reply([{ session: id(1), micros: 5 }]))),
        ""
      )
      expect(view).toMatchObject({ seen: "own", transactions: [{ isHere: false }] })
    }))

  it.effect("is asked for once at a time, and for all users only until that is refused", () =>
    Effect.gen(function*() {
      const asked: Array<boolean> = []
      const one = client((all) => {
        asked.push(all)
        return all ? Effect.fail(unauthorized) : Effect.delay(Effect.succeed(reply([])), "10 millis")
      })
      const twice = yield* Effect.fork(Effect.all([ask(one, ""), ask(one, "")], { concurrency: 2 }))
      yield* TestClock.adjust("10 millis")
      expect((yield* Fiber.join(twice)).map(({ seen }) => seen)).toEqual(["own", "own"])
      expect(asked).toEqual([true, false])
      const again = yield* Effect.fork(ask(one, ""))
      yield* TestClock.adjust("10 millis")
      yield* Fiber.join(again)
      expect(asked).toEqual([true, false, false])
    }))

  it.effect("is nothing where it is refused, where it is not understood, and after a second", () =>
    Effect.gen(function*() {
      const nothing = { seen: "nothing", transactions: [] }
      expect(yield* ask(client(() => Effect.fail(unauthorized)), "")).toEqual(nothing)
      expect(yield* ask(client(() => Effect.die(new TypeError())), "")).toEqual(nothing)
      const asking = yield* Effect.fork(ask(client(() => Effect.never), ""))
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(asking)).toEqual(nothing)
    }))
})

describe("a conflict in JSON", () => {
  it("has no address of another client, and no name of a field that may be a value", () => {
    const told = JSON.stringify(
      new MongoError({
        reason: "WriteConflict",
        operation: "updateOne",
        labels: [],
        conflict: {
          operation: "updateOne",
          fields: ["a@b.example"],
          rivals: [],
          server: {
            seen: "all",
            transactions: [{ client: "10.0.0.7:4711", age: Duration.zero, session: "1", isHere: false }]
          }
        }
      })
    )
    expect(told).not.toContain("10.0.0.7")
    expect(told).not.toContain("a@b.example")
    expect(told).toContain("(a field)")
  })
})

describe("the books of a client", () => {
  it.effect("keep values only where its option says so", () =>
    Effect.gen(function*() {
      const driver = new MongoClient("mongodb://localhost:1")
      const make = (values: boolean) =>
        Effect.withFiberRuntime<Contender>((fiber) =>
          Effect.succeed(
            contender(
              fiber,
              { driver, [inner]: { conflicts: { values, server: true } } } as unknown as Service,
              { doesQueue: true }
            )
          )
        )
      expect((yield* make(false)).loses(conflict(), write({ _id: secret }))?.values).toBeUndefined()
      expect(JSON.stringify(new Report(of(driver).hotKeys))).not.toContain(secret)
      expect((yield* make(true)).loses(conflict(), write({ _id: "other" }))?.values).toEqual({ _id: "other" })
    }))
})
