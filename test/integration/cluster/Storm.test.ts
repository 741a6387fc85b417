/**
 * A small storm, in which nothing that the library promises is broken; and the same with copies of the library that are broken
 * in one place each, which the storm finds. `npm run fire` lets a storm go on for as long as one likes.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Violation } from "../../fire/checker/violation.js"
import * as StormSet from "../../fire/set.js"
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
  faults?: "network"
): Promise<ReadonlyArray<Violation>> => {
  const Storm = await import("../../fire/storm.js")
  const { all, transactions } = await import("../../fire/workloads/all.js")
  const workloads = what === "all" ? all(set) : transactions
  return Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    const clients = yield* Storm.clients(set, 2)
    const counts = { faults: tally(), operations: tally() }
    const found = yield* Storm.round(set, clients, { seed, millis, workloads, counts, only: faults })
    console.log(`storm with seed ${seed}: ${counts.faults.toString()}; ${counts.operations.toString()}`)
    return found
  })))
}

const anomalies = (violations: ReadonlyArray<Violation>) => [...new Set(violations.map(({ anomaly }) => anomaly))]

describe("a storm over a set of three", () => {
  it("breaks no promise", async () => {
    expect(await round(15_000, "all")).toEqual([])
  })
})

describe("a copy of the library that is broken is found", () => {
  afterEach(() => {
    vi.doUnmock("../../../src/internal/driver/transaction.js")
    vi.doUnmock("../../../src/internal/transaction/transient.js")
    vi.doUnmock("../../../src/internal/session/lane.js")
    vi.resetModules()
  })

  const broken = <M extends object>(module: string, change: (original: M) => Partial<M>) => {
    vi.resetModules()
    vi.doMock(module, async (importOriginal) => {
      const original = await importOriginal<M>()
      return { ...original, ...change(original) }
    })
  }

  it("one that drops the abort leaves transactions open on the server", async () => {
    broken<typeof import("../../../src/internal/driver/transaction.js")>(
      "../../../src/internal/driver/transaction.js",
      () => ({
        // The driver believes that it was sent.
        abort: (session) => {
          Object.assign(Reflect.get(session, "transaction"), { state: "TRANSACTION_ABORTED" })
          return Promise.resolve()
        }
      })
    )
    expect(anomalies(await round(3000, "transactions", "network"))).toContain("left open")
  })

  it("one that runs the body again when the answer to a commit was lost does it twice", async () => {
    broken<typeof import("../../../src/internal/transaction/transient.js")>(
      "../../../src/internal/transaction/transient.js",
      ({ isTransient }) => ({
        isCommitUnknown: () => false,
        isTransient: (error) => isTransient(error) || error.operation === "commitTransaction"
      })
    )
    expect(anomalies(await round(6000, "transactions", "network"))).toContain("list-append: appended twice")
  })

  it("one that forgets the lane sends two commands of one session at once, and loses what was written beside a rollback", async () => {
    broken<typeof import("../../../src/internal/session/lane.js")>(
      "../../../src/internal/session/lane.js",
      () => ({
        enter: (lane, operation) =>
          Effect.succeed({ lane, claim: { operation, span: undefined }, wake: undefined, isAbandoned: false }),
        withPermit: (_lane, _operation, effect) => effect
      })
    )
    const found = anomalies(await round(3000, "transactions", "network"))
    expect(found).toContain("overlap")
    expect(found).toContain("shared session: outcome")
  })
})
