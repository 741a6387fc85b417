/**
 * What a causally consistent session has seen, as a value that can travel to another process.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Equal from "effect/Equal"
import { dual } from "effect/Function"
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import { type Kind, refuse, seal, unseal } from "./internal/values/sealed.js"
import * as Signer from "./internal/values/signed.js"
import type { DecodeFailed, SessionMisconfigured } from "./SessionErrors.js"

/**
 * A cluster time and the server's signature of it (`$clusterTime`).
 *
 * @since 0.1.0
 * @category models
 */
export interface ClusterTime {
  /** A BSON timestamp as unsigned 64-bit number: seconds since 1970 in the upper half, a counter in the lower. */
  readonly time: bigint
  /** The signature's hash; 20 bytes, or empty where nothing signs. Treat it as immutable. */
  readonly hash: Uint8Array
  /** The id of the signing key, a signed 64-bit number; 0 where nothing signs. */
  readonly keyId: bigint
}

/**
 * What a session has seen: the operation time that its reads wait for, and the cluster time that it gossips.
 * Equal by value.
 *
 * Numbers are taken modulo 2^64, as BSON does. See the specification "Causal Consistency", sections
 * "advanceOperationTime" and "advanceClusterTime".
 *
 * @example
 * ```ts
 * import { Effect, Option } from "effect"
 * import { CausalToken, Session } from "effect-mongo-session"
 *
 * export const hasRead = Effect.map(
 *   Effect.flatMap(Session.Session, ({ causalToken }) => causalToken),
 *   (token: CausalToken.CausalToken) => Option.isSome(token.operationTime)
 * )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export class CausalToken implements Equal.Equal {
  /** The time of the session's last operation, a BSON timestamp as unsigned 64-bit number. */
  readonly operationTime: Option.Option<bigint>
  /** The highest cluster time the session has seen. */
  readonly clusterTime: Option.Option<ClusterTime>

  constructor(times: {
    readonly operationTime: Option.Option<bigint>
    readonly clusterTime: Option.Option<ClusterTime>
  }) {
    this.operationTime = Option.map(times.operationTime, (time) => BigInt.asUintN(64, time))
    this.clusterTime = Option.map(times.clusterTime, ({ hash, keyId, time }) => ({
      time: BigInt.asUintN(64, time),
      hash: Uint8Array.from(hash),
      keyId: BigInt.asIntN(64, keyId)
    }))
  }

  /** The encoded form, see {@link encode}. */
  toString(): string {
    return encode(this)
  }

  /** The encoded form, see {@link encode}. */
  toJSON(): string {
    return encode(this)
  }

  /** Equal to every token of the same times and signature. */
  [Equal.symbol](that: unknown): boolean {
    return that instanceof CausalToken && encode(that) === encode(this)
  }

  /** The hash of the encoded form. */
  [Hash.symbol](): number {
    return Hash.string(encode(this))
  }
}

/**
 * The token of a session that has seen nothing.
 *
 * @example
 * ```ts
 * import { Either } from "effect"
 * import { CausalToken } from "effect-mongo-session"
 *
 * // A request without the header has seen nothing.
 * export const tokenOf = (header: string | undefined) =>
 *   header === undefined ? Either.right(CausalToken.empty) : CausalToken.decode(header)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const empty: CausalToken = new CausalToken({ operationTime: Option.none(), clusterTime: Option.none() })

/**
 * What two sessions have seen together: the later operation time, and the later cluster time with its signature.
 *
 * @example
 * ```ts
 * import { Array } from "effect"
 * import { CausalToken } from "effect-mongo-session"
 *
 * // What all answers together have seen.
 * export const latest = (tokens: ReadonlyArray<CausalToken.CausalToken>) =>
 *   Array.reduce(tokens, CausalToken.empty, (seen, token) => CausalToken.merge(seen, token))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const merge: {
  (that: CausalToken): (self: CausalToken) => CausalToken
  (self: CausalToken, that: CausalToken): CausalToken
} = dual(2, (self: CausalToken, that: CausalToken): CausalToken =>
  new CausalToken({
    operationTime: latest(self.operationTime, that.operationTime, (a, b) => a >= b),
    clusterTime: latest(self.clusterTime, that.clusterTime, isLater)
  }))

/**
 * The token as text of letters, digits, `.`, `-` and `_`: fit for a header, a cookie or a URL. About 75 characters.
 *
 * It is a checksum, not a signature, that guards it. Where strangers can send one, as in a header, use {@link signed}. It
 * says when the session worked, so treat it as internal where that matters.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CausalToken, Session } from "effect-mongo-session"
 *
 * // What goes to the next service as a header.
 * export const header = Session.Session.pipe(
 *   Effect.flatMap(({ causalToken }) => causalToken),
 *   Effect.map(CausalToken.encode)
 * )
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const encode = (token: CausalToken): string => {
  const hash = Option.match(token.clusterTime, { onNone: () => new Uint8Array(0), onSome: ({ hash }) => hash })
  const bytes = new Uint8Array(fixedLength + hash.length)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, (Option.isSome(token.operationTime) ? 1 : 0) + (Option.isSome(token.clusterTime) ? 2 : 0))
  view.setBigUint64(1, Option.getOrElse(token.operationTime, () => 0n))
  if (Option.isSome(token.clusterTime)) {
    view.setBigUint64(9, token.clusterTime.value.time)
    view.setBigInt64(17, token.clusterTime.value.keyId)
  }
  view.setUint32(25, hash.length)
  bytes.set(hash, fixedLength)
  return seal(kind, bytes)
}

/**
 * The token that {@link encode} made a text of. Never throws; fails with `DecodeFailed` on anything else, also if a
 * single character was lost or changed on the way.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CausalToken, Session } from "effect-mongo-session"
 *
 * // What follows in the session reads what the other service has written.
 * export const follow = (header: string) =>
 *   Effect.gen(function*() {
 *     const token = yield* CausalToken.decode(header)
 *     const session = yield* Session.Session
 *     yield* session.advanceTo(token)
 *   })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const decode = (text: string): Either.Either<CausalToken, DecodeFailed> =>
  Either.flatMap(unseal(kind, text), (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const flags = view.getUint8(0)
    const token = new CausalToken({
      operationTime: (flags & 1) === 1 ? Option.some(view.getBigUint64(1)) : Option.none(),
      clusterTime: (flags & 2) === 2
        ? Option.some({
          time: view.getBigUint64(9),
          hash: bytes.subarray(fixedLength),
          keyId: view.getBigInt64(17)
        })
        : Option.none()
    })
    // one text for each token: unknown flags, stray bits and values that the flags deny are refused
    return encode(token) === text ? Either.right(token) : refuse(kind, "is not in its canonical form")
  })

/**
 * The encoded form with a signature, for headers, cookies and whatever else comes back from outside.
 *
 * @since 0.1.0
 * @category models
 */
export interface Signed {
  /** The token as text, signed by the first secret. As {@link CausalToken.encode} makes it, and 44 characters more. */
  readonly encode: (token: CausalToken) => string
  /** The token of a text that one of the secrets has signed; `DecodeFailed` for any other text. Never throws. */
  readonly decode: (text: string) => Either.Either<CausalToken, DecodeFailed>
}

/**
 * Tokens that are signed (HMAC-SHA-256), so that nobody outside can make one up. A forged token could move the cluster time
 * of a server without access control far into the future, and reads would wait for it.
 *
 * The first secret signs, and all of them are accepted. To change the secret, put a new one first, and drop the old one when
 * no token of it is under way. A secret is a text of at least 32 bytes, e.g. of `openssl rand -hex 32`; fails with
 * `SessionMisconfigured` if one is shorter or there is none. A signature does not expire: an old token never takes a session
 * back. See RFC 2104.
 *
 * @example
 * ```ts
 * import { Config, Effect } from "effect"
 * import { CausalToken, Session } from "effect-mongo-session"
 *
 * export const header = Effect.gen(function*() {
 *   const tokens = yield* CausalToken.signed(yield* Config.redacted("CAUSAL_TOKEN_SECRET"))
 *   const session = yield* Session.Session
 *   return tokens.encode(yield* session.causalToken)
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const signed = (
  secrets: Redacted.Redacted | ReadonlyArray<Redacted.Redacted>
): Either.Either<Signed, SessionMisconfigured> =>
  Either.map(Signer.make(secrets), ({ sign, verify }) => {
    const signedOf = (token: CausalToken): string => sign(encode(token))
    const tokenOf = (text: string): Either.Either<CausalToken, DecodeFailed> =>
      Either.match(verify(text), { onLeft: (issue) => refuse(kind, issue), onRight: decode })
    return { encode: signedOf, decode: tokenOf }
  })

// flags (1), operation time (8), cluster time (8), key id (8), length of the hash (4)
const fixedLength = 29
// The server's has 20 bytes.
const longestHash = 128

const kind: Kind = {
  prefix: "ct1.",
  source: "CausalToken",
  atLeast: fixedLength,
  atMost: fixedLength + longestHash,
  lengthOf: (view) => fixedLength + view.getUint32(25)
}

const latest = <A>(
  self: Option.Option<A>,
  that: Option.Option<A>,
  isAtLeast: (self: A, that: A) => boolean
): Option.Option<A> =>
  Option.isSome(self) && Option.isSome(that)
    ? isAtLeast(self.value, that.value) ? self : that
    : Option.orElse(self, () => that)

// at the same time the signed one is preferred, then any order will do that does not depend on the arguments' order
const isLater = (self: ClusterTime, that: ClusterTime): boolean =>
  self.time !== that.time
    ? self.time > that.time
    : self.keyId !== that.keyId
    ? self.keyId > that.keyId
    : Encoding.encodeHex(self.hash) >= Encoding.encodeHex(that.hash)
