/**
 * A replica set of three whose members and clients reach each member through a network of its own, and in no other way.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Document } from "mongodb"
import * as MongoServer from "../../src/testing/MongoServer.js"
import { connect } from "../support/server/clients.js"
import * as Proxy from "../support/server/proxy.js"

/** A member, and the network in front of it. */
export interface Member {
  readonly member: MongoServer.Member
  readonly network: Proxy.Proxy
  /** The port by which a member tells who it is. */
  readonly port: number
}

/** The set. */
export interface StormSet {
  /** The connection string and the deeds. What is not a client of the storm meets a calm network. */
  readonly server: MongoServer.Service
  readonly members: ReadonlyArray<Member>
}

/** The `appName` of the clients that meet the storm. */
export const appName = "storm"

interface Plan {
  readonly members: ReadonlyArray<{ readonly port: number }>
}

/** Starts a set. */
export const make: Effect.Effect<
  StormSet,
  MongoServer.MongoServerUnavailable | MongoServer.MemberFailed,
  Scope.Scope
> = Effect.gen(function*() {
  const direct = yield* MongoServer.make({ members: 3, onProgress: () => Effect.void })
  const ports = direct.members.map(({ address }) => portOf(address))
  const networks = yield* Effect.forEach(ports, Proxy.make)
  const proxied = (port: number): number => networks[ports.indexOf(port)]?.port ?? port
  yield* Effect.scoped(Effect.flatMap(connect(direct.url), (client) =>
    Effect.promise(async () => {
      const admin = client.db("admin")
      const { config } = await admin.command({ replSetGetConfig: 1 })
      const members = config.members.map((member: Document) => ({
        ...member,
        host: `127.0.0.1:${proxied(portOf(member["host"]))}`
      }))
      // The networks are in the process of the storm, which has its hands full: a heartbeat that is late must not be an election.
      const settings = { ...config.settings, electionTimeoutMillis: 4000 }
      await admin.command({
        replSetReconfig: { ...config, version: config.version + 1, members, settings },
        force: true
      })
    })))
  const plan = direct.handle.plan as Plan
  const server = MongoServer.fromHandle({
    ...direct.handle,
    url: direct.url.replace(/127\.0\.0\.1:(\d+)/g, (_, port) => `127.0.0.1:${proxied(Number(port))}`),
    plan: { ...plan, members: plan.members.map((member) => ({ ...member, port: proxied(member.port) })) }
  })
  yield* server.primary
  return {
    server,
    members: networks.map((network, index) => ({ network, member: server.members[index]!, port: ports[index]! }))
  }
})

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(":") + 1))
