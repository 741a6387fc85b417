/**
 * A place in a change stream, as a value that can be stored or travel to another process.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import type * as Driver from "mongodb"
import * as Bson from "./internal/driver/bson.js"
import { type Kind, refuse, seal, unseal } from "./internal/values/sealed.js"
import type { DecodeFailed } from "./SessionErrors.js"

/**
 * What the server calls a resume token: an event's place in its change stream. Equal by value.
 *
 * Its document means something to the server only, and may have another form in another version. It is good for as long as
 * the server's oplog reaches back to it. See the specification "change streams", section "resumeToken".
 *
 * @example
 * ```ts
 * import { Effect, Equal, Stream } from "effect"
 * import { Collection, ResumeToken } from "effect-mongo-session"
 *
 * // Up to an event that is known.
 * export const until = (last: ResumeToken.ResumeToken) =>
 *   Collection.make("orders").watch().pipe(
 *     Stream.takeUntil((event) => Equal.equals(event.resumeToken, last)),
 *     Stream.runForEach((event) => Effect.log(event._tag))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export class ResumeToken implements Equal.Equal {
  /** The server's document. Treat it as immutable. */
  readonly document: Driver.Document

  constructor(document: Driver.Document) {
    this.document = document
  }

  /** The encoded form, see {@link encode}. */
  toString(): string {
    return encode(this)
  }

  /** The encoded form, see {@link encode}. */
  toJSON(): string {
    return encode(this)
  }

  /** Equal to every token of the same document. */
  [Equal.symbol](that: unknown): boolean {
    return that instanceof ResumeToken && encode(that) === encode(this)
  }

  /** The hash of the encoded form. */
  [Hash.symbol](): number {
    return Hash.string(encode(this))
  }
}

/**
 * The token as text of letters, digits, `.`, `-` and `_`: fit for a header, a cookie or a URL. It is guarded by a checksum.
 * It may hold the `_id` of the event's document, so treat it as you treat that.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Collection, ResumeToken } from "effect-mongo-session"
 *
 * export const tokens = Collection.make("orders").watch().pipe(
 *   Stream.runForEach((event) => Effect.log(ResumeToken.encode(event.resumeToken)))
 * )
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const encode = (token: ResumeToken): string => seal(kind, Bson.toBson(token.document))

/**
 * The token that {@link encode} made a text of. Never throws; fails with `DecodeFailed` on anything else, also if a
 * single character was lost or changed on the way.
 *
 * @example
 * ```ts
 * import { Either, Option } from "effect"
 * import { ResumeToken } from "effect-mongo-session"
 *
 * export const tokenOf = (text: string) => Option.getOrUndefined(Either.getRight(ResumeToken.decode(text)))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const decode = (text: string): Either.Either<ResumeToken, DecodeFailed> =>
  Either.flatMap(unseal(kind, text), (bytes) => {
    // What the driver reads it may not be able to write, as a field of the name that its types are told by.
    const read = Either.try(() => {
      const token = new ResumeToken(Bson.fromBson(bytes))
      return { token, isCanonical: encode(token) === text }
    })
    if (Either.isLeft(read)) return refuse(kind, "does not hold a document")
    return read.right.isCanonical ? Either.right(read.right.token) : refuse(kind, "is not in its canonical form")
  })

const emptyDocument = 5
const largestDocument = 2 ** 24

const kind: Kind = {
  prefix: "rt1.",
  source: "ResumeToken",
  atLeast: emptyDocument,
  atMost: largestDocument,
  // A document begins with its length.
  lengthOf: (view) => view.getInt32(0, true)
}
