/**
 * The faults of a storm follow from its seed, and one that cannot be does not end the storm.
 */
import * as Effect from "effect/Effect"
import { expect, it } from "vitest"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Faults from "../fire/faults.js"
import * as Nemesis from "../fire/nemesis.js"
import type { StormSet } from "../fire/set.js"
import * as Proxy from "../support/server/proxy.js"
import { tally } from "../support/watch/tally.js"

it("the same seed gives the same faults, and another one others", () => {
  expect(Faults.plan(1, 60_000)).toEqual(Faults.plan(1, 60_000))
  expect(Faults.plan(1, 60_000)).not.toEqual(Faults.plan(2, 60_000))
})

it("no fault lasts longer than the storm, and every kind comes", () => {
  const { heavy, light } = Faults.plan(3, 120_000)
  for (const faults of [heavy, light]) {
    expect(faults.reduce((sum, { after, lasts }) => sum + after + lasts, 0)).toBeLessThanOrEqual(120_000)
  }
  expect(new Set(heavy.map(({ kind }) => kind))).toEqual(new Set(Faults.heavy))
  expect(new Set(light.map(({ kind }) => kind))).toEqual(new Set(Faults.light))
})

// The storm with seed 105: the second try of a commit that was done was told WriteConflict, and the whole was done twice.
it("no fail point says of a transaction that it was not committed", () => {
  const codesOf = (command: string) =>
    new Set(Array.from({ length: 100 }, (_, size) => Faults.codeOf({ command, size: size + 1 })))
  for (const command of ["commitTransaction", "abortTransaction"]) {
    expect([...codesOf(command)].filter((code) => Faults.telling.includes(code))).toEqual([])
  }
  expect([...codesOf("insert")]).toEqual(expect.arrayContaining([...Faults.telling]))
})

// The third round of the storm with seed 101 ended so, and its fibers went on without it.
it("a fault that cannot be, as the member is down, is counted, and the next one follows", async () => {
  const faults = tally()
  await Effect.runPromise(Effect.scoped(Effect.flatMap(setThatIsDown, (set) => {
    const fault = { member: 0, after: 0, lasts: 1, command: "find", size: 1 } as const
    const light = [{ ...fault, kind: "fail point: error" }, { ...fault, kind: "delay" }] as const
    return Nemesis.run(set, { heavy: [{ ...fault, kind: "step down" }], light }, faults)
  })))
  expect(faults.rows()).toEqual([
    ["delay", 1],
    ["fail point: error: not done", 1],
    ["step down: not done", 1]
  ])
})

// Nothing listens at the port, and nobody may start anything.
const setThatIsDown = Effect.map(Proxy.make(1), (network): StormSet => {
  const server = MongoServer.fromHandle({
    ...{ url: "mongodb://127.0.0.1:1/", kind: "uri", version: "6.0.5", description: "down", plan: undefined },
    features: { transactions: true, changeStreams: true, failCommand: true }
  })
  const member = {
    ...{ address: "127.0.0.1:1", kill: Effect.void, stop: Effect.void, restart: Effect.void },
    ...{ freeze: Effect.void, thaw: Effect.void }
  }
  return { server, members: [{ member, network, port: 1 }] }
})
