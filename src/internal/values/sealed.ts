/**
 * Bytes as text that can go into a header, a cookie or a URL, guarded by a checksum.
 */
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import { crc32 } from "node:zlib"
import { DecodeFailed } from "../../SessionErrors.js"

/** What a text is of. */
export interface Kind {
  /** Its first characters, which name kind and version. */
  readonly prefix: string
  /** What errors call it. */
  readonly source: string
  /** How many bytes it has at least. */
  readonly atLeast: number
  /** How many bytes it has at most: longer texts are not looked at. */
  readonly atMost: number
  /** How many bytes it has, as it says in these. */
  readonly lengthOf: (view: DataView) => number
}

/** The bytes as text of letters, digits, `.`, `-` and `_`. */
export const seal = ({ prefix }: Kind, bytes: Uint8Array): string => {
  const sealed = new Uint8Array(bytes.length + checksumLength)
  sealed.set(bytes)
  new DataView(sealed.buffer).setUint32(bytes.length, crc32(bytes))
  return prefix + Encoding.encodeBase64Url(sealed)
}

/** The bytes that {@link seal} made a text of. Whatever it is given: a header may be there twice, and is no text then. */
export const unseal = (kind: Kind, text: unknown): Either.Either<Uint8Array, DecodeFailed> => {
  if (typeof text !== "string") return refuse(kind, "is not a text")
  if (!text.startsWith(kind.prefix)) return refuse(kind, "is not a token of this version")
  if (text.length > kind.prefix.length + lengthOf(kind.atMost + checksumLength)) return refuse(kind, "is too long")
  const sealed = decodeBase64Url(text.slice(kind.prefix.length))
  if (sealed === undefined) return refuse(kind, "is not base64url")
  const length = sealed.length - checksumLength
  if (length < kind.atLeast) return refuse(kind, "is too short")
  const view = new DataView(sealed.buffer, sealed.byteOffset, sealed.byteLength)
  if (kind.lengthOf(view) !== length) return refuse(kind, "has the wrong length")
  const bytes = sealed.subarray(0, length)
  return view.getUint32(length) === crc32(bytes) ? Either.right(bytes) : refuse(kind, "has the wrong checksum")
}

/** The failure to decode such a text. */
export const refuse = ({ source }: Kind, issue: string): Either.Either<never, DecodeFailed> =>
  Either.left(new DecodeFailed({ source, path: [], issue }))

// CRC-32 finds every change within 32 neighbouring bits, so every change of one or two characters.
const checksumLength = 4

// In base64 there are four characters for three bytes.
const lengthOf = (bytes: number): number => Math.ceil(bytes * 4 / 3)

const decodeBase64Url = (text: string): Uint8Array | undefined =>
  /^[A-Za-z0-9_-]*$/.test(text) ? Either.getOrUndefined(Encoding.decodeBase64Url(text)) : undefined
