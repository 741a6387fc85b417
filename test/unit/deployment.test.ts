import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constFalse, constTrue } from "effect/Function"
import * as Option from "effect/Option"
import { MongoClient } from "mongodb"
import type { ServerDescription, TopologyDescription } from "mongodb"
import {
  type Deployment,
  fromHello,
  fromTopology,
  serverOf,
  toAddress,
  unsupported,
  watchTopology
} from "../../src/internal/driver/topology.js"

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

describe("the server that an operation goes to", () => {
  const of = (address: string, type: ServerDescription["type"]) => ({ address, type })
  const set = [of("b:2", "RSSecondary"), of("a:1", "RSPrimary"), of("c:3", "RSArbiter")]

  it("is the primary, of what goes there, and the only one, of everything", () => {
    expect(serverOf(set, true)).toEqual({ host: "a", port: 1 })
    expect(serverOf(set, false)).toBeUndefined()
    expect(serverOf(set.slice(0, 1), false)).toEqual({ host: "b", port: 2 })
    expect(serverOf([], true)).toBeUndefined()
    expect(serverOf([of("a:1", "Mongos"), of("b:2", "Mongos")], true)).toBeUndefined()
  })

  it("is told by the latest description of the topology, and not remembered from one before", () => {
    const driver = new MongoClient("mongodb://a:1,b:2/?replicaSet=rs")
    const told = (...servers: ReadonlyArray<{ readonly address: string; readonly type: string }>) =>
      driver.emit("topologyDescriptionChanged", {
        newDescription: { servers: new Map(servers.map((one) => [one.address, one])) }
      } as never)
    Effect.runSync(Effect.scoped(Effect.map(watchTopology(driver), (watch) => {
      expect(watch.server(constTrue)).toBeUndefined()
      told(...set)
      expect(watch.server(constTrue)).toEqual({ host: "a", port: 1 })
      expect(watch.server(constTrue)).toEqual({ host: "a", port: 1 })
      told(of("a:1", "Unknown"), of("b:2", "RSSecondary"))
      expect(watch.server(constTrue)).toBeUndefined()
    })))
  })

  it("is told by a server's hello where the client was connected before", () => {
    const watched = <A>(url: string, test: (watch: Effect.Effect.Success<ReturnType<typeof watchTopology>>) => A) =>
      Effect.runSync(Effect.scoped(Effect.map(watchTopology(new MongoClient(url)), test)))
    watched("mongodb://a:1", (watch) => {
      watch.learn({ setName: "rs", hosts: ["b:2", "a:1"], primary: "a:1" })
      expect(watch.server(constTrue)).toEqual({ host: "a", port: 1 })
      expect(watch.server(constFalse)).toBeUndefined()
    })
    watched("mongodb://a:1", (watch) => {
      watch.learn({})
      expect(watch.server(constFalse)).toEqual({ host: "a", port: 1 })
    })
    watched("mongodb://a:1,b:2", (watch) => {
      watch.learn({ msg: "isdbgrid" })
      expect(watch.server(constTrue)).toBeUndefined()
    })
  })

  it("has a host and a port, or a path and none", () => {
    expect(toAddress("db.example.com:27017")).toEqual({ host: "db.example.com", port: 27017 })
    expect(toAddress("[::1]:27018")).toEqual({ host: "::1", port: 27018 })
    expect(toAddress("/tmp/mongodb-27017.sock")).toEqual({ host: "/tmp/mongodb-27017.sock", port: undefined })
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
