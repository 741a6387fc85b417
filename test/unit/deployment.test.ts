import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { ServerDescription, TopologyDescription } from "mongodb"
import { type Deployment, fromHello, fromTopology, unsupported } from "../../src/internal/deployment.js"

const server = (type: string, minutes: number | null, maxWireVersion: number) =>
  ({ type, logicalSessionTimeoutMinutes: minutes, maxWireVersion }) as ServerDescription

const topology = (...servers: ReadonlyArray<ServerDescription>) =>
  ({ servers: new Map(servers.map((one, n) => [String(n), one])) }) as TopologyDescription

const deployment = (given: Partial<Deployment>): Deployment => ({
  kind: "replicaSet",
  sessionTimeout: Option.some(Duration.minutes(30)),
  maxWireVersion: 25,
  ...given
})

describe("what is known of a deployment", () => {
  it("is nothing while no server that holds data is known", () => {
    expect(fromTopology(topology())).toEqual(Option.none())
    expect(fromTopology(topology(server("Unknown", null, 0), server("RSArbiter", 30, 25), server("RSGhost", null, 25))))
      .toEqual(Option.none())
    expect(fromTopology(topology(server("LoadBalancer", null, 0)))).toEqual(Option.none())
  })

  it("is the shortest timeout and the lowest wire version of the servers that hold data", () => {
    expect(
      fromTopology(topology(server("RSPrimary", 30, 25), server("RSSecondary", 20, 21), server("Unknown", null, 0)))
    ).toEqual(Option.some(deployment({ sessionTimeout: Option.some(Duration.minutes(20)), maxWireVersion: 21 })))
  })

  it("is without sessions as soon as one server that holds data is", () => {
    expect(fromTopology(topology(server("RSPrimary", 30, 25), server("RSSecondary", null, 25))))
      .toEqual(Option.some(deployment({ sessionTimeout: Option.none() })))
  })

  it("comes from a server's own hello where nothing is monitored", () => {
    expect(fromHello({ setName: "rs", maxWireVersion: 25, logicalSessionTimeoutMinutes: 30 })).toEqual(deployment({}))
    expect(fromHello({ msg: "isdbgrid", maxWireVersion: 25, logicalSessionTimeoutMinutes: 30 }))
      .toEqual(deployment({ kind: "sharded" }))
    expect(fromHello({ msg: "isdbgrid", serviceId: 1, maxWireVersion: 25, logicalSessionTimeoutMinutes: 30 }))
      .toEqual(deployment({ kind: "loadBalanced" }))
    expect(fromHello({})).toEqual(
      deployment({ kind: "standalone", sessionTimeout: Option.none(), maxWireVersion: 0 })
    )
  })
})

describe("sessions are supported", () => {
  const plain = { snapshot: false }
  const snapshot = { snapshot: true }
  const none = { sessionTimeout: Option.none() }
  const table: ReadonlyArray<
    readonly [string, Partial<Deployment>, { readonly snapshot: boolean }, string | undefined]
  > = [
    ["by a replica set", {}, plain, undefined],
    ["by a standalone server", { kind: "standalone" }, plain, undefined],
    ["by MongoDB 3.6", { maxWireVersion: 6 }, plain, undefined],
    ["not before MongoDB 3.6", { maxWireVersion: 5, ...none }, plain, "WireVersion"],
    ["not without a session timeout", none, plain, "NoSessionTimeout"],
    ["with snapshot reads by MongoDB 5.0", { maxWireVersion: 13 }, snapshot, undefined],
    ["with snapshot reads on a sharded cluster", { kind: "sharded" }, snapshot, undefined],
    ["without snapshot reads before MongoDB 5.0", { maxWireVersion: 12 }, snapshot, "SnapshotReads"],
    ["without snapshot reads by a standalone server", { kind: "standalone" }, snapshot, "SnapshotReads"]
  ]
  for (const [name, given, options, reason] of table) {
    it(name, () => {
      const found = Option.getOrUndefined(unsupported(deployment(given), options))
      expect(found?.reason).toBe(reason)
    })
  }
})
