/**
 * What a test needs of the deployment that it is run on.
 */
import type { Requirement } from "./format.js"
import { sameValue } from "./values.js"
import { compareVersions } from "./version.js"

/** What is known of the deployment. */
export interface Deployment {
  readonly version: string
  readonly topology: "single" | "replicaset" | "sharded" | "load-balanced"
  readonly auth: boolean
  readonly parameters: Readonly<Record<string, unknown>>
}

/** Why none of the requirements is met; `undefined` if one is, or if there are none. */
export const unmet = (
  requirements: ReadonlyArray<Requirement> | undefined,
  deployment: Deployment
): string | undefined => {
  if (requirements === undefined) return undefined
  const reasons = requirements.map((requirement) => unmetOf(requirement, deployment))
  return reasons.includes(undefined) ? undefined : [...new Set(reasons)].join("; or ")
}

const unmetOf = (requirement: Requirement, deployment: Deployment): string | undefined => {
  const { auth, authMechanism, csfle, maxServerVersion, minServerVersion, serverParameters, serverless, topologies } =
    requirement
  const { parameters, topology, version } = deployment
  if (topologies !== undefined && !topologies.some((wanted) => isTopology(wanted, topology))) {
    return `needs the topology ${topologies.join(" or ")}`
  }
  if (minServerVersion !== undefined && compareVersions(version, minServerVersion) < 0) {
    return `needs MongoDB ${minServerVersion} or later`
  }
  if (maxServerVersion !== undefined && compareVersions(version, maxServerVersion) > 0) {
    return `needs MongoDB ${maxServerVersion} or earlier`
  }
  if (serverless === "require") return "needs Atlas Serverless"
  if (auth !== undefined && auth !== deployment.auth) {
    return auth ? "needs access control" : "needs a server without access control"
  }
  if (authMechanism !== undefined && !mechanisms(parameters).includes(authMechanism.toLowerCase())) {
    return `needs the authentication mechanism ${authMechanism}`
  }
  if (csfle !== undefined && csfle !== false) return "needs client-side encryption"
  const differing = Object.entries(serverParameters ?? {})
    .find(([name, value]) => !Object.hasOwn(parameters, name) || !sameValue(value, parameters[name]))
  return differing && `needs the server parameter ${differing[0]} to be ${JSON.stringify(differing[1])}`
}

// Every shard has been a replica set since MongoDB 3.6.
const isTopology = (wanted: string, topology: Deployment["topology"]): boolean =>
  wanted === topology || (wanted === "sharded-replicaset" && topology === "sharded")

const mechanisms = ({ authenticationMechanisms: found }: Deployment["parameters"]): ReadonlyArray<string> =>
  Array.isArray(found) ? found.map((name) => String(name).toLowerCase()) : []
