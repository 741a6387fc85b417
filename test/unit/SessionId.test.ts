import * as ParseResult from "@effect/schema/ParseResult"
import * as Schema from "@effect/schema/Schema"
import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as fc from "effect/FastCheck"
import * as Hash from "effect/Hash"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as OldSchemas from "../../src/OldSchemas.js"
import * as SessionId from "../../src/SessionId.js"

const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 })
const parse = (text: string) => Either.getOrThrow(SessionId.SessionId.fromString(text))
const uuid = "0f8fad5b-d9cb-469f-a165-70867728950e"

describe("SessionId", () => {
  it.each([
    "",
    "0f8fad5b",
    "0f8fad5bd9cb469fa16570867728950e",
    `{${uuid}}`,
    `${uuid} `,
    `${uuid}\n`,
    `\n${uuid}`,
    uuid.replace("0f", "0g"),
    uuid.replaceAll("-", "_"),
    "0f8fad5-bd9cb-469f-a165-70867728950e"
  ])("refuses %j as a UUID, without quoting it", (text) => {
    const error = Either.getOrThrow(Either.flip(SessionId.SessionId.fromString(text)))
    expect(error._tag).toBe("DecodeFailed")
    expect(error.source).toBe("SessionId")
    expect(error.message).toBe("SessionId: expected a UUID of 36 characters")
  })

  it.each([0, 15, 17])("refuses %d bytes", (length) => {
    expect(() => SessionId.SessionId.fromBytes(new Uint8Array(length))).toThrow(RangeError)
  })

  it("refuses arbitrary text", () => {
    fc.assert(fc.property(fc.string(), (text) => Either.isLeft(SessionId.SessionId.fromString(text))))
  })

  it("takes a UUID in either case and makes it canonical", () => {
    expect(parse(uuid.toUpperCase()).uuid).toBe(uuid)
    expect(parse(uuid).hex).toBe("0f8fad5bd9cb469fa16570867728950e")
    expect(String(parse(uuid))).toBe(uuid)
    expect(JSON.stringify({ id: parse(uuid) })).toBe(`{"id":"${uuid}"}`)
  })

  it("keeps the bytes in network order", () => {
    expect(Array.from(parse("00010203-0405-0607-0809-0a0b0c0d0eff").bytes))
      .toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255])
  })

  it("comes back from bytes, UUID, hex and schema as it was", () => {
    fc.assert(fc.property(bytes, (raw) => {
      const id = SessionId.SessionId.fromBytes(raw)
      expect(id.bytes).toEqual(raw)
      expect(id.uuid).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      expect(id.hex).toBe(Buffer.from(raw).toString("hex"))
      expect(Equal.equals(parse(id.uuid), id)).toBe(true)
      expect(Equal.equals(SessionId.SessionId.fromBytes(Buffer.from(id.hex, "hex")), id)).toBe(true)
      const encoded = Schema.encodeSync(OldSchemas.SessionIdFromString)(id)
      expect(encoded).toBe(id.uuid)
      expect(Equal.equals(Schema.decodeSync(OldSchemas.SessionIdFromString)(encoded), id)).toBe(true)
    }))
  })

  it("is equal, with the same hash, exactly when the bytes are", () => {
    const pair = bytes.chain((a) => fc.tuple(fc.constant(a), fc.oneof(fc.constant(Uint8Array.from(a)), bytes)))
    fc.assert(fc.property(pair, ([a, b]) => {
      const [one, other] = [SessionId.SessionId.fromBytes(a), SessionId.SessionId.fromBytes(b)]
      const same = Buffer.from(a).equals(Buffer.from(b))
      expect(Equal.equals(one, other)).toBe(same)
      if (same) expect(Hash.hash(one)).toBe(Hash.hash(other))
    }))
  })

  it("finds its entry in a HashMap", () => {
    const map = HashMap.make([parse(uuid), "mine"])
    expect(HashMap.get(map, parse(uuid.toUpperCase()))).toEqual(Option.some("mine"))
  })

  it("is not equal to other things that look like it", () => {
    expect(Equal.equals(parse(uuid), uuid)).toBe(false)
    expect(Equal.equals(parse(uuid), { ...parse(uuid) })).toBe(false)
  })

  it("does not change with the bytes it was made of, nor with those it gives out", () => {
    const raw = new Uint8Array(16)
    const id = SessionId.SessionId.fromBytes(raw)
    raw.fill(1)
    id.bytes.fill(2)
    expect(id.hex).toBe("0".repeat(32))
  })

  it("is refused by the schema in a wrong form, in both directions", () => {
    const decoded = Schema.decodeUnknownEither(OldSchemas.SessionIdFromString)("nonsense")
    expect(Either.isLeft(decoded) && ParseResult.isParseError(decoded.left)).toBe(true)
    expect(Either.isLeft(Schema.encodeUnknownEither(OldSchemas.SessionIdFromString)({ uuid }))).toBe(true)
    expect(Either.isLeft(Schema.decodeUnknownEither(OldSchemas.SessionIdFromString)(1))).toBe(true)
  })
})
