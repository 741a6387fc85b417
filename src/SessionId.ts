/**
 * The id of a server session (its lsid), as a value.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import { DecodeFailed } from "./SessionErrors.js"

/**
 * A UUID that names a server session. Equal by value, so that it can be a key of a HashMap.
 *
 * It is the client's half of an lsid: the server adds a digest of the user. See the specification "Driver
 * Sessions", section "Server Session".
 *
 * @example
 * ```ts
 * import { Either, HashSet, Option } from "effect"
 * import { SessionId } from "effect-mongo-session"
 *
 * // Equal by value.
 * export const known = (ids: HashSet.HashSet<SessionId.SessionId>, uuid: string) =>
 *   Option.exists(Either.getRight(SessionId.SessionId.fromString(uuid)), (id) => HashSet.has(ids, id))
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export class SessionId implements Equal.Equal {
  /** The canonical form: 36 characters, lower case. */
  readonly uuid: string

  private constructor(uuid: string) {
    this.uuid = uuid
  }

  /** The id with these 16 bytes, in network order. Throws a RangeError if there are not 16. */
  static fromBytes(bytes: Uint8Array): SessionId {
    if (bytes.length !== 16) throw new RangeError("a session id has 16 bytes")
    return new SessionId(Encoding.encodeHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"))
  }

  /** The id with this UUID of 36 characters in either case; fails with `DecodeFailed` on anything else. */
  static fromString(uuid: string): Either.Either<SessionId, DecodeFailed> {
    return isUuid(uuid)
      ? Either.right(new SessionId(uuid.toLowerCase()))
      : Either.left(new DecodeFailed({ source: "SessionId", path: [], issue: "expected a UUID of 36 characters" }))
  }

  /** The 32 hexadecimal digits without dashes, lower case. */
  get hex(): string {
    return this.uuid.replaceAll("-", "")
  }

  /** The 16 bytes, in network order; a copy of the caller's own. */
  get bytes(): Uint8Array {
    return Either.getOrThrow(Encoding.decodeHex(this.hex))
  }

  /** The canonical UUID. */
  toString(): string {
    return this.uuid
  }

  /** The canonical UUID. */
  toJSON(): string {
    return this.uuid
  }

  /** Equal to every session id of the same UUID. */
  [Equal.symbol](that: unknown): boolean {
    return that instanceof SessionId && that.uuid === this.uuid
  }

  /** The hash of the UUID. */
  [Hash.symbol](): number {
    return Hash.string(this.uuid)
  }
}

const isUuid = (text: unknown): boolean =>
  typeof text === "string" && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
