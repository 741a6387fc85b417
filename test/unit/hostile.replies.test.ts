import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import type { Document } from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import * as Transaction from "../../src/Transaction.js"
import { connected } from "../support/server/connected.js"

const things = Collection.make("things", { database: "test" })

const operations: Readonly<Record<string, Effect.Effect<unknown, { readonly _tag: string }, MongoClient.MongoClient>>> =
  {
    findOne: things.findOne({}),
    find: Stream.runDrain(things.find({})),
    insertOne: things.insertOne({ _id: 1 }),
    insertMany: things.insertMany([{ _id: 1 }, { _id: 2 }]),
    updateOne: things.updateOne({}, { $set: { a: 1 } }),
    deleteMany: things.deleteMany({}),
    findOneAndUpdate: things.findOneAndUpdate({}, { $set: { a: 1 } }),
    countDocuments: things.countDocuments({}),
    distinct: things.distinct("a"),
    aggregate: Stream.runDrain(things.aggregate([])),
    watch: Effect.scoped(Effect.flatMap(Effect.succeed(things.watch()), Stream.runHead)).pipe(
      Effect.timeout("1 second")
    ),
    startSession: SessionCommands.startSession,
    refreshSessions: SessionCommands.refreshSessions([]),
    listSessions: Stream.runDrain(SessionCommands.listSessions())
  }

const values: Readonly<Record<string, unknown>> = {
  "null": null,
  "a number": 5,
  "a text": "x",
  "a document": { toString: 1, valueOf: 1, then: 1, length: 1e9 },
  "a list": [null, 1, {}],
  "__proto__": JSON.parse("{\"__proto__\":{\"polluted\":true}}")
}

const fields = [
  ...[
    "ok",
    "n",
    "nModified",
    "upserted",
    "value",
    "values",
    "lastErrorObject",
    "cursor",
    "cursor.id",
    "cursor.firstBatch"
  ],
  ...["cursor.ns", "errorLabels", "writeErrors", "writeConcernError", "$clusterTime", "operationTime", "recoveryToken"],
  ...["$clusterTime.clusterTime", "$clusterTime.signature", "id", "id.id", "timeoutMinutes", "topologyVersion"],
  ...["writeErrors.0", "cursor.postBatchResumeToken"]
]
const ofErrors = [
  "code",
  "codeName",
  "errmsg",
  "errorLabels",
  "writeErrors",
  "topologyVersion",
  "keyPattern",
  "keyValue"
]

// What sessions and transactions read themselves.
const inSessions = new Set([
  "errorLabels",
  "$clusterTime",
  "$clusterTime.clusterTime",
  "operationTime",
  "recoveryToken"
])

const within = (reply: Document, path: string, value: unknown): Document => {
  const [first = "", second] = path.split(".")
  if (second === undefined) return { ...reply, [first]: value }
  return second === "0" ? { ...reply, [first]: [value] } : { ...reply, [first]: { ...reply[first], [second]: value } }
}

describe("a server whose replies are of no kind that is known", () => {
  const replies = [
    ...fields.flatMap((path) =>
      Object.entries(values).map(([what, value]) => [`${path} that is ${what}`, { ok: 1 }, path, value] as const)
    ),
    ...ofErrors.flatMap((path) =>
      Object.entries(values).map(([what, value]) =>
        [`an error with ${path} that is ${what}`, { ok: 0, code: 8000, errmsg: "x" }, path, value] as const
      )
    )
  ]
  const commands = ["find", "insert", "update", "delete", "findAndModify", "aggregate", "distinct", "startSession"]

  it.scopedLive(
    "makes no operation die or hang: each has a result or a typed error",
    () =>
      Effect.gen(function*() {
        const faults = new Set<string>()
        const { client, server } = yield* connected({}, { driver: { retryReads: false, retryWrites: false } })
        for (const [what, base, path, value] of replies) {
          for (const command of commands) {
            const cursor = { id: 0, ns: "test.things", firstBatch: [] }
            yield* server.on(command, () =>
              within({ ...base, ...(base.ok === 1 && path.startsWith("cursor") && { cursor }) }, path, value))
          }
          for (const [name, operation] of Object.entries(operations)) {
            for (const way of ["plain", "session", "transaction"] as const) {
              if (way !== "plain" && !inSessions.has(path)) {
                continue
              }
              const run = way === "plain"
                ? operation
                : way === "session"
                ? Session.scoped(operation)
                : Transaction.run(operation, { timeout: "200 millis", retry: undefined })
              const exit = yield* run.pipe(
                Effect.provideService(MongoClient.MongoClient, client),
                Effect.timeout(Duration.seconds(5)),
                Effect.exit
              )
              if (Exit.isSuccess(exit)) {
                continue
              }
              if (!Cause.isFailure(exit.cause) || Cause.isDie(exit.cause)) {
                faults.add(`${what}: ${name} (${way}): ${Cause.pretty(exit.cause).split("\n").slice(0, 2).join(" ")}`)
              } else if (
                Cause.failures(exit.cause).pipe(Array.from).some(Cause.isTimeoutException) && name !== "watch"
              ) {
                faults.add(`${what}: ${name} (${way}): hangs`)
              }
            }
          }
        }
        expect([...faults]).toEqual([])
      }),
    120_000
  )
})
