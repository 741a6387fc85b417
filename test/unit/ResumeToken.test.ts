import * as Schema from "@effect/schema/Schema"
import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as FastCheck from "effect/FastCheck"
import * as Hash from "effect/Hash"
import { Binary, BSON, Int32, Long, Timestamp } from "mongodb"
import { crc32 } from "node:zlib"
import * as OldSchemas from "../../src/OldSchemas.js"
import * as ResumeToken from "../../src/ResumeToken.js"
import { DecodeFailed } from "../../src/SessionErrors.js"

const sample = new ResumeToken.ResumeToken({ _data: "8263F2A1B2000000012B022C0100296E5A1004" })
const text = ResumeToken.encode(sample)

const value = FastCheck.oneof(
  FastCheck.string(),
  FastCheck.boolean(),
  FastCheck.double({ noNaN: true, noDefaultInfinity: true }).filter((number) => !Object.is(number, -0)),
  FastCheck.integer().map((number) => new Int32(number)),
  FastCheck.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map((number) => Long.fromBigInt(number)),
  FastCheck.uint8Array({ maxLength: 40 }).map((bytes) => new Binary(bytes)),
  FastCheck.nat().map((t) => new Timestamp({ t, i: 1 }))
)

// The server's own are of one text, or of a binary, or of several fields: it may be anything.
const tokens = FastCheck.dictionary(FastCheck.stringMatching(/^[a-z_]{1,8}$/), value, { maxKeys: 4 })
  .map((document) => new ResumeToken.ResumeToken(document))

const bson = (token: ResumeToken.ResumeToken) => Buffer.from(BSON.serialize(token.document)).toString("hex")

describe("ResumeToken", () => {
  it.each([
    ["", "is not a token of this version"],
    [text.replace("rt1.", "rt2."), "is not a token of this version"],
    [`${text}*`, "is not base64url"],
    ["rt1.AAAA", "is too short"],
    [text.slice(0, -4), "has the wrong length"],
    [text.replace("ODI2", "ODI3"), "has the wrong checksum"]
  ])("refuses %s, for it %s", (damaged, issue) => {
    const error = Either.getOrThrow(Either.flip(ResumeToken.decode(damaged)))
    expect(error).toBeInstanceOf(DecodeFailed)
    expect(error).toMatchObject({ source: "ResumeToken", path: [], issue })
    expect(error.message).not.toContain("8263")
  })

  it("refuses bytes that are sealed well, and no document", () => {
    // A document of 8 bytes, of which the type of the only field is unknown.
    const bytes = Uint8Array.of(8, 0, 0, 0, 0x66, 0x61, 0, 0)
    expect(Either.getOrThrow(Either.flip(ResumeToken.decode(seal(bytes)))).issue).toBe("does not hold a document")
  })

  it("refuses every text of which one character is changed, lost or added", () => {
    FastCheck.assert(
      FastCheck.property(
        tokens,
        FastCheck.nat(),
        FastCheck.stringMatching(/^[A-Za-z0-9_-]$/),
        FastCheck.constantFrom("change", "lose", "add"),
        (token, at, character, how) => {
          const whole = ResumeToken.encode(token)
          const index = at % whole.length
          const damaged = whole.slice(0, index) + (how === "lose" ? "" : character) +
            whole.slice(how === "add" ? index : index + 1)
          FastCheck.pre(damaged !== whole)
          expect(Either.isLeft(ResumeToken.decode(damaged))).toBe(true)
        }
      ),
      { numRuns: 500 }
    )
  })

  it("is the same after it was a text, to the last bit of its document", () => {
    FastCheck.assert(
      FastCheck.property(tokens, (token) => {
        const back = Either.getOrThrow(ResumeToken.decode(ResumeToken.encode(token)))
        expect(bson(back)).toBe(bson(token))
        expect(Equal.equals(back, token)).toBe(true)
        expect(Hash.hash(back)).toBe(Hash.hash(token))
      }),
      { numRuns: 500 }
    )
  })

  it("fits into a header, a cookie and a URL, and shows itself as its text", () => {
    expect(text).toMatch(/^rt1\.[A-Za-z0-9_-]+$/)
    expect(encodeURIComponent(text)).toBe(text)
    expect(`${sample.toString()} ${JSON.stringify(sample)}`).toBe(`${text} "${text}"`)
  })

  it("is equal to a token of the same document only", () => {
    const other = (document: object) => new ResumeToken.ResumeToken(document)
    expect(Equal.equals(sample, other({ ...sample.document }))).toBe(true)
    expect(Equal.equals(sample, other({ _data: "82" }))).toBe(false)
    expect(Equal.equals(sample, text)).toBe(false)
  })

  it("has a schema from and to its text", () => {
    const decoded = Schema.decodeUnknownSync(OldSchemas.ResumeTokenFromString)(text)
    expect(Equal.equals(decoded, sample)).toBe(true)
    expect(Schema.encodeSync(OldSchemas.ResumeTokenFromString)(decoded)).toBe(text)
    expect(Either.isLeft(Schema.decodeUnknownEither(OldSchemas.ResumeTokenFromString)(`${text}x`))).toBe(true)
  })
})

/** What a token of these bytes would be called, were they a document. */
const seal = (bytes: Uint8Array): string => {
  const sealed = Buffer.alloc(bytes.length + 4)
  sealed.set(bytes)
  sealed.writeUInt32BE(crc32(bytes), bytes.length)
  return `rt1.${sealed.toString("base64url")}`
}
