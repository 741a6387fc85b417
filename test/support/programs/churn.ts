/**
 * A program that opens and releases sessions by the thousand on the server that its first argument names, and prints as
 * one line of JSON what is left of them.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import type * as Driver from "mongodb"
import * as V8 from "node:v8"
import * as Vm from "node:vm"
import * as MongoClient from "../../../src/MongoClient.js"
import * as Session from "../../../src/Session.js"
import * as Telemetry from "../../../src/Telemetry.js"
import { lsidOf } from "../server/responder.js"

/** What is left after the churn. */
export interface Remains {
  readonly sessions: number
  readonly heapBefore: number
  readonly heapAfter: number
  readonly openSessions: number
  readonly driverSessions: number
  readonly gauge: number
  readonly checkedOut: number
  readonly pings: number
  /** The logical sessions of the pings, in hexadecimal. */
  readonly lsids: ReadonlyArray<string>
}

V8.setFlagsFromString("--expose-gc")
const collect: () => void = Vm.runInNewContext("gc")

const heap = Effect.gen(function*() {
  for (let n = 0; n < 4; n++) {
    collect()
    yield* Effect.sleep("20 millis")
  }
  return process.memoryUsage().heapUsed
})

const ping = (session: Session.Service) =>
  session.use((driverSession) => session.client.driver.db("admin").command({ ping: 1 }, { session: driverSession }))

// Every tenth session is used, and every twentieth in such a way that its use is interrupted.
const one = (n: number) =>
  Effect.scoped(Effect.flatMap(Session.make(), (session) =>
    n % 20 === 10
      ? Effect.timeoutOption(ping(session), "1 millis")
      : n % 10 === 0
      ? ping(session)
      : Effect.void))

const churn = (times: number) => Effect.forEach(Array.from({ length: times }, (_, n) => n), one, { discard: true })

const program = Effect.gen(function*() {
  const client = yield* MongoClient.MongoClient
  let checkedOut = 0
  let pings = 0
  client.driver.on("connectionCheckedOut", () => void checkedOut++)
  client.driver.on("connectionCheckedIn", () => void checkedOut--)
  const lsids = new Set<string>()
  client.driver.on("commandStarted", (event) => {
    pings++
    const lsid = lsidOf(event.command)
    if (lsid !== undefined) lsids.add(lsid)
  })
  yield* Effect.repeatN(churn(2_000), 2)
  const heapBefore = yield* heap
  pings = 0
  yield* churn(10_000)
  const remains: Remains = {
    sessions: 10_000,
    heapBefore,
    heapAfter: yield* heap,
    openSessions: yield* client.openSessions,
    driverSessions: lent(client.driver),
    gauge: (yield* Metric.value(Telemetry.sessionsOpen)).value,
    checkedOut,
    pings,
    lsids: [...lsids]
  }
  process.stdout.write(`${JSON.stringify(remains)}\n`)
})

// The sessions that the driver's client has open, those that it lends to single operations included.
const lent = (driver: Driver.MongoClient): number => {
  const { s } = driver as Driver.MongoClient & { readonly s: { readonly activeSessions: ReadonlySet<unknown> } }
  return s.activeSessions.size
}

const url = Redacted.make(process.argv[2] ?? "")

await Effect.runPromise(Effect.provide(program, MongoClient.layer({ url, driver: { monitorCommands: true } })))
