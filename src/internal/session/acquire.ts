/**
 * Opens a session. All that can prevent it is checked before anything is sent.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { MongoError } from "../../MongoError.js"
import {
  type AcquireError,
  CryptoUnavailable,
  type SessionMisconfigured,
  SessionsUnsupported,
  UnacknowledgedWrite
} from "../../SessionErrors.js"
import * as SessionOptions from "../../SessionOptions.js"
import { isTooOldServer } from "../driver/errors.js"
import { type Deployment, unsupported } from "../driver/topology.js"
import type { RunningFiber } from "../time/fiber.js"
import { readable } from "../values/options.js"
import * as MongoClient from "./client.js"
import { OpenSession } from "./open.js"
import { type Service, Usable } from "./service.js"

/** The options of a new session, and its client. */
export interface Options<Client> extends SessionOptions.SessionOptions, MongoClient.ClientOption<Client> {}

/** Opens a session that is ended when the scope closes. */
export const acquire = <Client = MongoClient.MongoClient>(
  options?: Options<Client>
): Effect.Effect<Service, AcquireError, MongoClient.AsGiven<Client> | Scope.Scope> =>
  Effect.suspend(() => {
    const taken = take(options)
    return Either.isLeft(taken) ? taken.left : acquireAs(taken.right)
  })

/** {@link acquire} where a session is there, and none where there can be none. Fails where that is not known. */
export const acquirePossible = <Client>(
  options: Options<Client>
): Effect.Effect<Option.Option<Service>, MongoError, MongoClient.AsGiven<Client> | Scope.Scope> =>
  Effect.catchAll(
    Effect.asSome(acquire(options)),
    (error) => error instanceof MongoError && error.reason !== "ConnectionClosed" ? error : Effect.succeedNone
  )

/** {@link acquire} with options that were taken apart. */
export const acquireAs = <Client>(
  taken: Taken<Client>
): Effect.Effect<Service, AcquireError, MongoClient.AsGiven<Client> | Scope.Scope> =>
  Effect.withFiberRuntime((fiber) => openOn(MongoClient.clientIn(fiber, taken), taken.decoded, fiber))

/** The options of a new session, decoded, and its client. */
export interface Taken<Client> extends MongoClient.ClientOption<Client> {
  readonly decoded: SessionOptions.Decoded
}

/** Decodes the options of a new session. */
export const take = <Client>(
  options: Options<Client> | undefined
): Either.Either<Taken<Client>, SessionMisconfigured> =>
  Either.flatMap(readable(options), (given: Options<Client> = {}) => {
    const { client, ...rest } = given
    return Either.map(SessionOptions.decode(rest), (decoded) => ({ client, decoded }))
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
  // The client may have closed while the deployment was asked.
  return client[MongoClient.inner].isClosed() ? closed : open(client, options, fiber)
}

// The driver would connect a closed client again.
const closed = Effect.suspend(() =>
  new MongoError({ reason: "ConnectionClosed", operation: "Session.make", labels: [] })
)

/**
 * Opens a session for a fiber, on a client whose deployment is known to have sessions; it is ended when the fiber's scope
 * closes.
 *
 * Not by `Effect.acquireRelease`, which takes longer than all that is done here: as the finalizer is there before the session
 * is, an interruption in between leaves nothing behind.
 */
const open = (client: MongoClient.Service, options: SessionOptions.Decoded, fiber: RunningFiber) => {
  const opening: Opening = { opened: undefined, isOver: false }
  const scope = Context.unsafeGet(fiber.currentContext, Scope.Scope)
  return Effect.flatMap(Scope.addFinalizerExit(scope, ending(opening)), () => {
    const session = opening.opened = new OpenSession(client, options, fiber)
    const usable = new Usable(session)
    // The scope may have been closed all along.
    return opening.isOver
      ? Effect.as(session.close, usable)
      : Effect.as(client[MongoClient.inner].keeper.add(session), usable)
  })
}

interface Opening {
  opened: OpenSession | undefined
  /** Whether the scope was closed. */
  isOver: boolean
}

// Made apart: the scope keeps it for as long as the session is open, and all that it could see with it, as the fiber.
const ending = (opening: Opening) => (): Effect.Effect<void> => {
  opening.isOver = true
  return opening.opened === undefined ? Effect.void : opening.opened.close
}
