/**
 * Sends session commands, and decodes their replies.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import { DecodeFailed, type SessionMisconfigured } from "../../SessionErrors.js"
import type { SessionId } from "../../SessionId.js"
import * as SessionKeeper from "../../SessionKeeper.js"
import * as DriverSession from "../driver/session.js"
import { type AsGiven, clientOf, type ClientOption, inner, type Service } from "../session/client.js"
import { closingStep } from "../telemetry/close.js"
import { readable } from "../values/options.js"
import { documentsOf, type Form } from "./patterns.js"
import * as Replies from "./replies.js"

/** Sends a command, and decodes its reply. */
export const send = <A, I>(
  client: Service,
  command: Driver.Document,
  reply: Schema.Schema<A, I>
): Effect.Effect<A, MongoError | DecodeFailed> =>
  Effect.flatMap(client[inner].adminCommand(command), (document) =>
    Effect.mapError(
      Schema.decodeUnknown(reply)(document),
      (error) => DecodeFailed.fromParseError(`reply of ${Object.keys(command)[0]}`, error)
    ))

/** Sends a command for each batch of a list to a client; for an empty list, none. */
export const sendAll = (
  client: Service,
  command: string,
  items: ReadonlyArray<Driver.Document>
): Effect.Effect<void, MongoError | DecodeFailed> =>
  Effect.mapError(
    Effect.validateAll(
      SessionKeeper.batches(items),
      (batch) => send(client, { [command]: batch }, Replies.acknowledged),
      { discard: true }
    ),
    ([first]) => first
  )

/** {@link sendAll} to the client that an option names, if nothing is wrong with the items. */
export const sendList = <A, Client>(
  command: string,
  items: Iterable<A>,
  form: Form<A>,
  options: ClientOption<Client> | undefined
): Effect.Effect<void, SessionMisconfigured | MongoError | DecodeFailed, AsGiven<Client>> => {
  const read = Either.all([documentsOf(items, form), readable(options)])
  return Effect.flatMap(
    read,
    ([documents, given]) => Effect.flatMap(clientOf(given), (client) => sendAll(client, command, documents))
  )
}

/** Starts a session on the server. */
export const start = (client: Service): Effect.Effect<Replies.StartedSession, MongoError | DecodeFailed> =>
  Effect.map(
    send(client, { startSession: 1 }, Replies.started),
    ({ id, timeoutMinutes }) => ({ id: id.id, timeout: timeoutMinutes })
  )

/** Ends a session that was started so. What fails is logged. */
export const release = (client: Service, id: SessionId): Effect.Effect<void> =>
  closingStep(
    "session started by command",
    client.closeTimeout,
    send(client, { endSessions: [DriverSession.toLsid(id)] }, Replies.acknowledged),
    (error) => error._tag === "MongoError" ? error.reason : error._tag
  )
