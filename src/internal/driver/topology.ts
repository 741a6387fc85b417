/**
 * Watches the topology of a client, and decides from it whether a deployment supports sessions.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import { SessionsUnsupported } from "../../SessionErrors.js"
import { listening } from "./listen.js"

/** What matters about a deployment. */
export interface Deployment {
  readonly kind: "standalone" | "replicaSet" | "sharded" | "loadBalanced"
  /** How long a server keeps an idle session; none where a server has no sessions. */
  readonly sessionTimeout: Option.Option<Duration.Duration>
  /** The lowest of the servers' highest wire versions. */
  readonly maxWireVersion: number
}

// Sessions came with MongoDB 3.6, snapshot reads outside of transactions with 5.0.
const sessionsWireVersion = 6
const snapshotWireVersion = 13

/**
 * What a topology description tells; none while no server that holds data is known, and behind a load balancer, where
 * the driver monitors nothing.
 */
export const fromTopology = (topology: Driver.TopologyDescription): Option.Option<Deployment> => {
  const known = [...topology.servers.values()].flatMap((server) => {
    const kind = kinds[server.type]
    return kind === undefined ? [] : [{ kind, server }]
  })
  const first = known[0]
  if (first === undefined) {
    return Option.none()
  }
  const timeouts = known.map(({ server }) => Option.fromNullable(server.logicalSessionTimeoutMinutes))
  return Option.some({
    kind: first.kind,
    sessionTimeout: Option.map(Option.all(timeouts), (minutes) => Duration.minutes(Math.min(...minutes))),
    maxWireVersion: Math.min(...known.map(({ server }) => server.maxWireVersion))
  })
}

// Servers that hold data (specification "server discovery and monitoring"); arbiters and ghosts have no say.
const kinds: Readonly<Record<string, Deployment["kind"]>> = {
  Standalone: "standalone",
  RSPrimary: "replicaSet",
  RSSecondary: "replicaSet",
  Mongos: "sharded"
}

/** What a server's reply to `hello` tells. */
export const fromHello = (hello: Driver.Document): Deployment => ({
  kind: hello["serviceId"] !== undefined
    ? "loadBalanced"
    : hello["msg"] === "isdbgrid"
    ? "sharded"
    : typeof hello["setName"] === "string"
    ? "replicaSet"
    : "standalone",
  sessionTimeout: typeof hello["logicalSessionTimeoutMinutes"] === "number"
    ? Option.some(Duration.minutes(hello["logicalSessionTimeoutMinutes"]))
    : Option.none(),
  maxWireVersion: typeof hello["maxWireVersion"] === "number" ? hello["maxWireVersion"] : 0
})

/** Why a deployment does not support a session with the given options; none if it does. */
export const unsupported = (
  deployment: Deployment,
  options: { readonly snapshot: boolean }
): Option.Option<SessionsUnsupported> => {
  if (deployment.maxWireVersion < sessionsWireVersion) {
    return Option.some(tooOld("WireVersion", deployment, sessionsWireVersion))
  }
  if (Option.isNone(deployment.sessionTimeout)) {
    return Option.some(new SessionsUnsupported({ reason: "NoSessionTimeout" }))
  }
  if (options.snapshot && (deployment.maxWireVersion < snapshotWireVersion || deployment.kind === "standalone")) {
    return Option.some(tooOld("SnapshotReads", deployment, snapshotWireVersion))
  }
  return Option.none()
}

const tooOld = (
  reason: SessionsUnsupported["reason"],
  deployment: Deployment,
  required: number
): SessionsUnsupported =>
  new SessionsUnsupported({
    reason,
    found: `${deployment.kind}, wire version ${deployment.maxWireVersion}`,
    required: `wire version ${required}`
  })

/** Where a server is. */
export interface Address {
  readonly host: string
  /** None of a socket in the file system. */
  readonly port: number | undefined
}

/** The address in the form in which the driver has it. */
export const toAddress = (address: string): Address => {
  const [, host = address, port] = /^(.+):(\d+)$/.exec(address) ?? []
  return { host: host.replace(/^\[(.*)\]$/, "$1"), port: port === undefined ? undefined : Number(port) }
}

type Server = Pick<Driver.ServerDescription, "address" | "type">

/** The server that an operation goes to, as far as it is known before one is selected: the only one, or the primary. */
export const serverOf = (servers: ReadonlyArray<Server>, isOnPrimary: boolean): Address | undefined => {
  const found = servers.length === 1
    ? servers[0]
    : isOnPrimary
    ? servers.find(({ type }) => type === "RSPrimary")
    : undefined
  return found && toAddress(found.address)
}

// A client that was connected before this library got it emits no event until its topology changes.
const serversOf = (hello: Driver.Document, driver: Driver.MongoClient): ReadonlyArray<Server> => {
  const hosts: ReadonlyArray<unknown> = Array.isArray(hello["hosts"]) ? hello["hosts"] : driver.options.hosts
  return hosts.map((host) => ({
    address: String(host),
    type: host === hello["primary"] ? "RSPrimary" : "Unknown"
  }))
}

/** What is known of a client's deployment at this moment. */
export interface TopologyWatch {
  readonly known: () => Option.Option<Deployment>
  /** How long the deployment keeps an idle session, as far as it is known. */
  readonly sessionTimeout: () => Option.Option<Duration.Duration>
  readonly learn: (hello: Driver.Document) => Deployment
  /** See {@link serverOf}. */
  readonly server: (isOnPrimary: () => boolean) => Address | undefined
  /** What kind of server is at an address, as the specification "Server Discovery and Monitoring" calls it, if it is known. */
  readonly typeOf: (address: string) => string | undefined
}

// The topology's latest state in which something was known: while a primary is being elected, what was true of the
// deployment before still is. Not so of its servers.
export const watchTopology = (driver: Driver.MongoClient): Effect.Effect<TopologyWatch, never, Scope.Scope> =>
  Effect.gen(function*() {
    let known = Option.none<Deployment>()
    let servers: ReadonlyArray<Server> = []
    let only: Address | undefined
    let primary: Address | undefined
    const setServers = (now: ReadonlyArray<Server>): void => {
      servers = now
      only = serverOf(servers, false)
      primary = serverOf(servers, true)
    }
    const listener = (event: Driver.TopologyDescriptionChangedEvent): void => {
      setServers([...event.newDescription.servers.values()])
      known = Option.orElse(fromTopology(event.newDescription), () => known)
    }
    yield* listening(driver, { topologyDescriptionChanged: listener })
    return {
      known: () => known,
      sessionTimeout: () => Option.isSome(known) ? known.value.sessionTimeout : Option.none(),
      learn: (hello: Driver.Document) => {
        const deployment = fromHello(hello)
        known = Option.some(deployment)
        if (servers.length === 0) setServers(serversOf(hello, driver))
        return deployment
      },
      server: (isOnPrimary) => only ?? (primary !== undefined && isOnPrimary() ? primary : undefined),
      typeOf: (of) => servers.find(({ address }) => address === of)?.type
    }
  })
