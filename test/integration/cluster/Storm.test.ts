/**
 * A small storm, in which nothing that the library promises is broken; and the same with copies of the library that are broken
 * in one place each, which the storm finds. `npm run fire` lets a storm go on for as long as one likes.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Scope from "effect/Scope"
import type * as TransactionEnd from "../../../src/internal/driver/transactionEnd.js"
import type * as Lane from "../../../src/internal/session/lane.js"
import type * as Transient from "../../../src/internal/transaction/transient.js"
import type { Violation } from "../../fire/checker/violation.js"
import type * as Faults from "../../fire/faults.js"
import * as StormSet from "../../fire/set.js"
import type * as StormModule from "../../fire/storm.js"
import { isLong } from "../../support/long.js"
import { tally } from "../../support/watch/tally.js"

const seed = Number(process.env["STORM_SEED"] ?? 7)

let set: StormSet.StormSet
const scope = Effect.runSync(Scope.make())
beforeAll(async () => {
  set = await Effect.runPromise(Scope.extend(StormSet.make, scope))
})
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

/** A round with the library as it is mocked at this moment. */
const round = async (
  millis: number,
  what: "all" | "transactions",
  options: Pick<StormModule.Round, "faults" | "patience"> = {}
): Promise<ReadonlyArray<Violation>> => {
  const Storm = await import("../../fire/storm.js")
  const { all, transactions } = await import("../../fire/workloads/all.js")
  const workloads = what === "all" ? all(set) : transactions
  const program = Effect.scoped(Effect.gen(function*() {
    const clients = yield* Storm.clients(set, 2)
    const counts = { faults: tally(), operations: tally() }
    const found = yield* Storm.round(set, clients, { seed, millis, workloads, counts, ...options })
    console.log(`storm with seed ${seed}: ${counts.faults.toString()}; ${counts.operations.toString()}`)
    return found
  }))
  return Effect.runPromise(Logger.withMinimumLogLevel(program, LogLevel.None))
}

const anomalies = (violations: ReadonlyArray<Violation>) => [...new Set(violations.map(({ anomaly }) => anomaly))]

describe("a storm over a set of three", () => {
  it("breaks no promise", async () => {
    expect(await round(15_000, "all")).toEqual([])
  })
})

// A broken copy may keep what it should have given back, and then each of its waits lasts as long as it may.
const onDemand = "it takes long; FIRE=long runs it"

// For half a second all connections are cut on which a commit is answered. A broken copy may never end what it has begun.
const lost: Faults.Fault = {
  ...{ kind: "cut before the reply", command: "commitTransaction", size: 100 },
  ...{ member: 0, after: 300, lasts: 500 }
}
const broken = { faults: { heavy: [], light: [lost, lost, lost] }, patience: "3 seconds" } as const

describe("a copy of the library that is broken is found", () => {
  afterEach(() => {
    vi.doUnmock("../../../src/internal/driver/transactionEnd.js")
    vi.doUnmock("../../../src/internal/transaction/transient.js")
    vi.doUnmock("../../../src/internal/session/lane.js")
    vi.resetModules()
  })

  const breaking = <M extends object>(module: string, change: (original: M) => Partial<M>) => {
    vi.resetModules()
    vi.doMock(module, async (importOriginal) => {
      const original = await importOriginal<M>()
      return { ...original, ...change(original) }
    })
  }

  it("one that drops the abort leaves transactions open on the server", async (context) => {
    context.skip(!isLong, onDemand)
    breaking<typeof TransactionEnd>(
      "../../../src/internal/driver/transactionEnd.js",
      ({ endByName }) => ({
        // The driver believes that it was sent.
        abort: (session) => {
          Object.assign(Reflect.get(session, "transaction"), { state: "TRANSACTION_ABORTED" })
          return Promise.resolve()
        },
        // Nor is it sent later, in the background.
        endByName: (client, operation, ...rest) =>
          operation === "abortTransaction" ? Promise.resolve() : endByName(client, operation, ...rest)
      })
    )
    expect(anomalies(await round(3000, "transactions", broken))).toContain("left open")
  })

  it("one that runs the body again when the answer to a commit was lost does it twice", async (context) => {
    context.skip(!isLong, onDemand)
    breaking<typeof Transient>(
      "../../../src/internal/transaction/transient.js",
      ({ isTransient }) => ({
        isCommitUnknown: () => false,
        isTransient: (error) => isTransient(error) || error.operation === "commitTransaction"
      })
    )
    expect(anomalies(await round(3000, "transactions", broken))).toContain("list-append: appended twice")
  })

  it("one that forgets the lane sends two commands of one session at once, and loses what was written beside a rollback", async (context) => {
    context.skip(!isLong, onDemand)
    breaking<typeof Lane>(
      "../../../src/internal/session/lane.js",
      () => ({
        enter: (lane, operation) =>
          Effect.succeed({ lane, claim: { operation, span: undefined }, wake: undefined, isAbandoned: false }),
        withPermit: (_lane, _operation, effect) => effect
      })
    )
    const found = anomalies(await round(3000, "transactions", broken))
    expect(found).toContain("overlap")
    expect(found).toContain("shared session: outcome")
  })
})
