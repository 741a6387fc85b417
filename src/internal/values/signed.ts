/**
 * Texts with a signature (HMAC-SHA-256, RFC 2104), so that what comes back from outside is what was given out.
 */
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import { createHmac, timingSafeEqual } from "node:crypto"
import { SessionMisconfigured } from "./sessionErrors.js"

/** Signs texts, and checks what it has signed. */
export interface Signer {
  /** The text with a dot and its signature by the first secret: 44 characters more. */
  readonly sign: (text: string) => string
  /** The text that one of the secrets has signed. */
  readonly verify: (
    signed: unknown
  ) => Either.Either<string, "is not a text" | "is not signed" | "has a wrong signature">
}

/** A signer by the first of some secrets, which accepts the signatures of all of them. */
export const make = (
  secrets: Redacted.Redacted | ReadonlyArray<Redacted.Redacted>
): Either.Either<Signer, SessionMisconfigured> => {
  const all = Array.isArray(secrets) ? secrets : [secrets]
  const issues = all.flatMap((secret, index) => isLong(secret) ? [] : [{ path: ["secrets", String(index)], message }])
  const [first] = all
  if (first === undefined) issues.push({ path: ["secrets"], message: "expected at least one" })
  if (first === undefined || issues.length > 0) return Either.left(new SessionMisconfigured({ issues }))
  return Either.right({
    sign: (text) => `${text}.${signatureOf(first, text)}`,
    verify: (signed) => {
      if (typeof signed !== "string") return Either.left("is not a text")
      const dot = signed.length - signatureLength - 1
      if (signed[dot] !== ".") return Either.left("is not signed")
      const [text, signature] = [signed.slice(0, dot), Buffer.from(signed.slice(dot + 1))]
      // Every secret is tried, so that the time taken does not tell which one it was.
      const matches = all.map((secret) => isSame(signature, Buffer.from(signatureOf(secret, text))))
      return matches.includes(true) ? Either.right(text) : Either.left("has a wrong signature")
    }
  })
}

// As long as the hash (RFC 2104, section 3).
const leastBytes = 32
const message = `expected a redacted text of at least ${leastBytes} bytes`
const isLong = (secret: unknown): boolean => {
  // What was wiped has no value any more, and throws.
  const value = Either.try(() => Redacted.isRedacted(secret) ? Redacted.value(secret) : undefined)
  return Either.isRight(value) && typeof value.right === "string" && Buffer.byteLength(value.right) >= leastBytes
}

// 32 bytes in base64url
const signatureLength = 43
const signatureOf = (secret: Redacted.Redacted, text: string): string =>
  createHmac("sha256", Redacted.value(secret)).update(text).digest("base64url")

// The texts are compared, for the last character of base64url has bits that its bytes do not show.
const isSame = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && timingSafeEqual(one, other)
