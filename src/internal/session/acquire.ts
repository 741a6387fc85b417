/**
 * How a session is acquired: what may stand in its way is looked at before anything is sent.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { MongoError } from "../../MongoError.js"
import { type AcquireError, CryptoUnavailable, SessionsUnsupported, UnacknowledgedWrite } from "../../SessionErrors.js"
import * as SessionOptions from "../../SessionOptions.js"
import { isTooOldServer } from "../driver/errors.js"
import { type Deployment, unsupported } from "../driver/topology.js"
import type { RunningFiber } from "../time/fiber.js"
import type { Service } from "./ambient.js"
import * as MongoClient from "./client.js"
import { open } from "./service.js"

/** How to open a session, and on which client. */
export interface Options<Client> extends SessionOptions.SessionOptions, MongoClient.ClientOption<Client> {}

/** Opens a session that is ended when the scope closes. */
export const acquire = <Client = MongoClient.MongoClient>(
  options?: Options<Client>
): Effect.Effect<Service, AcquireError, Client | Scope.Scope> =>
  Effect.withFiberRuntime((fiber): Effect.Effect<Service, AcquireError, Client | Scope.Scope> => {
    const { client: _, ...rest } = options ?? {}
    const decoded = SessionOptions.decode(rest)
    if (Either.isLeft(decoded)) return decoded.left
    return openOn(MongoClient.clientIn(fiber, options), decoded.right, fiber)
  })

const openOn = (
  client: MongoClient.Service,
  options: SessionOptions.Decoded,
  fiber: RunningFiber
): Effect.Effect<Service, AcquireError, Scope.Scope> => {
  if (!client[MongoClient.inner].hasSecureRandom()) return new CryptoUnavailable()
  if (client.driver.options.writeConcern?.w === 0) {
    return new UnacknowledgedWrite({ operation: "Session.make", source: "client" })
  }
  if (client[MongoClient.inner].isClosed()) return closed
  const known = client[MongoClient.inner].knownDeployment()
  return Option.isSome(known)
    ? openWhere(known.value, client, options, fiber)
    : Effect.flatMap(asked(client), (deployment) => openWhere(deployment, client, options, fiber))
}

const asked = (client: MongoClient.Service) =>
  Effect.catchIf(client.deployment, isTooOldServer, () => new SessionsUnsupported({ reason: "WireVersion" }))

const openWhere = (
  deployment: Deployment,
  client: MongoClient.Service,
  options: SessionOptions.Decoded,
  fiber: RunningFiber
): Effect.Effect<Service, AcquireError, Scope.Scope> => {
  const lacking = unsupported(deployment, options)
  if (Option.isSome(lacking)) return lacking.value
  // It may have closed while it was asked.
  return client[MongoClient.inner].isClosed() ? closed : open(client, options, fiber)
}

// The driver would connect a closed client again.
const closed = Effect.suspend(() =>
  new MongoError({ reason: "ConnectionClosed", operation: "Session.make", labels: [] })
)
