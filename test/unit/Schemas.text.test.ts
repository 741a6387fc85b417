/**
 * The schemas of tokens and session ids, in both packages of schemas.
 */
import * as OldPretty from "@effect/schema/Pretty"
import * as OldSchema from "@effect/schema/Schema"
import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Pretty from "effect/Pretty"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as CausalToken from "../../src/CausalToken.js"
import * as OldSchemas from "../../src/OldSchemas.js"
import * as ResumeToken from "../../src/ResumeToken.js"
import * as Schemas from "../../src/Schemas.js"
import * as SessionId from "../../src/SessionId.js"

const seen = new CausalToken.CausalToken({ operationTime: Option.some(7n), clusterTime: Option.none() })
const signed = Either.getOrThrow(CausalToken.signed(Redacted.make("a secret of at least thirty-two bytes")))
const place = new ResumeToken.ResumeToken({ _data: "82" })
const id = Either.getOrThrow(SessionId.SessionId.fromString("01234567-89ab-4def-8123-456789abcdef"))

const kinds = [
  ["a causal token", Schemas.CausalTokenFromString, OldSchemas.CausalTokenFromString, seen, CausalToken.encode(seen)],
  [
    "a signed causal token",
    Schemas.signedCausalToken(signed),
    OldSchemas.signedCausalToken(signed),
    seen,
    signed.encode(seen)
  ],
  ["a resume token", Schemas.ResumeTokenFromString, OldSchemas.ResumeTokenFromString, place, ResumeToken.encode(place)],
  ["a session id", Schemas.SessionIdFromString, OldSchemas.SessionIdFromString, id, id.uuid]
] as unknown as ReadonlyArray<
  readonly [string, Schema.Schema<object, string>, OldSchema.Schema<object, string>, object, string]
>

describe.each(kinds)("%s", (_, schema, old, value, text) => {
  it("is a field of a struct, in either package", () => {
    const struct = Schema.Struct({ it: schema })
    const oldStruct = OldSchema.Struct({ it: old })
    expect(Schema.encodeSync(struct)({ it: value })).toEqual({ it: text })
    expect(OldSchema.encodeSync(oldStruct)({ it: value })).toEqual({ it: text })
    expect(Equal.equals(Schema.decodeSync(struct)({ it: text }).it, value)).toBe(true)
    expect(Equal.equals(OldSchema.decodeSync(oldStruct)({ it: text }).it, value)).toBe(true)
  })

  it("is printed, in either package", () => {
    const said = Pretty.make(Schema.Struct({ it: schema }))({ it: value })
    expect(said).toMatch(/^\{ "it": .+ \}$/)
    expect(OldPretty.make(OldSchema.Struct({ it: old }))({ it: value })).toBe(said)
  })

  it("refuses the same, with the same words", () => {
    const said = (result: Either.Either<unknown, unknown>) =>
      Either.match(result, { onLeft: String, onRight: () => "" })
    for (const other of ["none", `${text}x`, 1, value]) {
      const found = said(Schema.decodeUnknownEither(schema)(other))
      expect(found).not.toBe("")
      expect(found).toBe(said(OldSchema.decodeUnknownEither(old)(other)))
    }
    const found = said(Schema.encodeUnknownEither(schema)(1))
    expect(found).toContain("Expected a")
    expect(found).toBe(said(OldSchema.encodeUnknownEither(old)(1)))
  })
})
