/**
 * What a change stream is made of, so that it can be begun elsewhere, within something else.
 */
import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Hash from "effect/Hash"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import type { Event } from "../../ChangeEvent.js"
import type { MongoError } from "../../MongoError.js"
import type { DecodeFailed } from "../../SessionErrors.js"
import type { Target } from "../data/request.js"
import * as Bson from "../driver/bson.js"
import type { Service as Client } from "../session/client.js"
import type { Pull, Within } from "./follow.js"
import type { Position } from "./position.js"

/** What a change stream is made of. */
export interface Source<A, E, R> {
  readonly client: Effect.Effect<Client, never, R>
  /** What is watched: of a database all collections if it names none, and all databases if it names none of these. */
  readonly watched: Pick<Target, "database" | "collection">
  /** Where it begins. */
  readonly at: Position
  /** What is wrong with it on a client, if anything, where it waits for as long as it takes. */
  readonly refusal: (client: Client) => MongoError | undefined
  /** Its steps from a position on, with some stages put before its own, in a session of its own or within the given one. */
  readonly pulled: (
    at: Position,
    leading: ReadonlyArray<Driver.Document>,
    within?: Within
  ) => Effect.Effect<Pull<A, E, R>, E, R | Scope.Scope>
  /** What it makes of an event of the server's; one that can't be decoded is not left out here. */
  readonly decode: (raw: Driver.Document) => Effect.Effect<Event<A>, DecodeFailed | MongoError, R>
  /** What it is: another one has another text. */
  readonly text: () => string
}

/** A text for what a stream is, as short as a hash. */
export const textOf = (stream: Driver.Document): string =>
  // What has no BSON is refused when the stream is opened.
  Either.match(Either.try(() => Bson.toBson(stream)), {
    onLeft: () => "",
    onRight: (bytes) => Hash.string(Encoding.encodeBase64(bytes)).toString(36)
  })
