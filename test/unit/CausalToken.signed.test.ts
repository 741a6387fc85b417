import * as Schema from "@effect/schema/Schema"
import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { createHmac } from "node:crypto"
import * as CausalToken from "../../src/CausalToken.js"
import * as OldSchemas from "../../src/OldSchemas.js"

const token = new CausalToken.CausalToken({
  operationTime: Option.some(7_300_000_000_000_000_001n),
  clusterTime: Option.some({ time: 7_300_000_000_000_000_002n, hash: new Uint8Array(20), keyId: 7n })
})

const [one, other] = ["one", "other"].map((name) => Redacted.make(name.padEnd(32, "."))) as [
  Redacted.Redacted,
  Redacted.Redacted
]
const tokens = Either.getOrThrow(CausalToken.signed(one))
const text = tokens.encode(token)

describe("a signed causal token", () => {
  it("is the token's text with an HMAC-SHA-256 of it, fit for a header", () => {
    const unsigned = CausalToken.encode(token)
    const signature = createHmac("sha256", Redacted.value(one)).update(unsigned).digest("base64url")
    expect(text).toBe(`${unsigned}.${signature}`)
    expect(text).toMatch(/^[\w.-]{119}$/)
    expect(tokens.decode(text)).toEqual(Either.right(token))
  })

  it("is refused with any character changed, left out or added", () => {
    for (let at = 0; at < text.length; at++) {
      const [before, after] = [text.slice(0, at), text.slice(at + 1)]
      // `B` also changes nothing but the bits of the last character that its bytes do not show.
      for (const changed of ["A", "B", "_", "."]) {
        if (changed !== text[at]) expect(Either.isLeft(tokens.decode(before + changed + after))).toBe(true)
      }
      expect(Either.isLeft(tokens.decode(before + after))).toBe(true)
      expect(Either.isLeft(tokens.decode(`${before}A${text.slice(at)}`))).toBe(true)
    }
  })

  it.each([
    ["is not signed", CausalToken.encode(token)],
    ["is not signed", ""],
    ["is not signed", `.${"A".repeat(42)}`],
    ["has a wrong signature", `.${"A".repeat(43)}`],
    ["has a wrong signature", `${CausalToken.encode(token)}.${"A".repeat(43)}`],
    ["has a wrong signature", `${CausalToken.encode(token)}.${"é".repeat(43)}`],
    ["has a wrong signature", Either.getOrThrow(CausalToken.signed(other)).encode(token)]
  ])("%s: is DecodeFailed, without the text", (issue, text) => {
    const refused = Either.getOrThrow(Either.flip(tokens.decode(text)))
    expect(refused).toMatchObject({ _tag: "DecodeFailed", source: "CausalToken", issue })
    expect(refused.hint).toMatch(/refuse its request/)
    expect(refused.hint).not.toMatch(/stored/)
  })

  it("that is signed does not decode as an unsigned one", () => {
    expect(Either.isLeft(CausalToken.decode(text))).toBe(true)
  })

  it("that was signed by the secret before is accepted until that is dropped, and the first one signs", () => {
    const both = Either.getOrThrow(CausalToken.signed([other, one]))
    expect(both.decode(text)).toEqual(Either.right(token))
    expect(both.encode(token)).toBe(Either.getOrThrow(CausalToken.signed(other)).encode(token))
    expect(Either.isLeft(tokens.decode(both.encode(token)))).toBe(true)
  })

  it("comes back through its schema", () => {
    expect(Schema.encodeSync(OldSchemas.signedCausalToken(tokens))(token)).toBe(text)
    expect(Schema.decodeSync(OldSchemas.signedCausalToken(tokens))(text)).toEqual(token)
    expect(Either.isLeft(Schema.decodeEither(OldSchemas.signedCausalToken(tokens))(CausalToken.encode(token)))).toBe(
      true
    )
  })

  it("needs secrets that cannot be guessed, and names all that are too short, without them", () => {
    const short = Redacted.make("hunter2")
    const refused = Either.getOrThrow(Either.flip(CausalToken.signed([short, one, Redacted.make("")])))
    expect(refused).toMatchObject({
      _tag: "SessionMisconfigured",
      issues: [{ path: ["secrets", "0"] }, { path: ["secrets", "2"] }]
    })
    expect(JSON.stringify(refused)).not.toMatch(/hunter2/)
    expect(Either.flip(CausalToken.signed([]))).toMatchObject({ right: { issues: [{ path: ["secrets"] }] } })
    expect(Either.isLeft(CausalToken.signed("a plain text of more than 32 bytes" as never))).toBe(true)
  })
})
