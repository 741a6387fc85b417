/**
 * Hints for failures of the driver and the server, where the error tells more than its reason.
 */
import type * as Driver from "mongodb"

/** The key under which an error that this library makes with a class of the driver keeps its hint. */
export const hint: unique symbol = Symbol("hint")

/** The hint for an error of the driver; none where its reason says it all. */
export const hintOf = (
  error: Error,
  code: number | undefined,
  client: Driver.MongoClient | undefined
): string | undefined => {
  if (hint in error && typeof error[hint] === "string") return error[hint]
  if (code === onlyOnReplicaSets) return needsReplicaSet
  if (isOfOtherClient(error)) return otherClient
  return client !== undefined && hasUnknownMember(error, client) ? unknownMember : undefined
}

const onlyOnReplicaSets = 40573
const needsReplicaSet =
  "Change streams need a replica set or a sharded cluster; this is a standalone server. A replica set " +
  "of one member is enough: start mongod with `--replSet`, and initiate it once."

// The driver has no class nor code of its own for this refusal. Were its text another one, there would be no hint; a test
// pins it for each supported version.
const isOfOtherClient = (error: Error): boolean =>
  error.name === "MongoInvalidArgumentError" && error.message === "ClientSession must be from the same MongoClient"
const otherClient =
  "The collection or database belongs to another client than the session. In `use`, take it from the " +
  "session's own client (`session.client.driver`), or open a session of the other client (option `client`)."

// The driver replaces the hosts of the URL by the members of the set, as that calls them.
const hasUnknownMember = (error: Error, { options: { hosts } }: Driver.MongoClient): boolean => {
  const seeds = new Set(hosts.map((host) => host.toString().toLowerCase()))
  const description: unknown = "reason" in error ? error.reason : undefined
  if (typeof description !== "object" || description === null || !("servers" in description)) return false
  return description.servers instanceof Map &&
    [...description.servers as Driver.TopologyDescription["servers"]].some(([address, server]) =>
      !seeds.has(address.toLowerCase()) && isUnresolved(server.error)
    )
}
const unknownMember =
  "A member of the replica set has a name that cannot be resolved here, as that of a container outside of " +
  "its network. The driver goes by the names in the set's configuration, not by those in the URL. Add " +
  "`directConnection=true` to the URL to use the one server that it names, or make the names resolvable."

// What looking a name up can fail with is below the driver's error.
const isUnresolved = (error: unknown): boolean =>
  error instanceof Error &&
  (("syscall" in error && error.syscall === "getaddrinfo") ||
    ("code" in error && (error.code === "ENOTFOUND" || error.code === "EAI_AGAIN")) || isUnresolved(error.cause))
