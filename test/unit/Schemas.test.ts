// Whatever the schemas of both packages fail with is looked at as a text.
// @effect-diagnostics anyUnknownInErrorContext:off
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import type * as Schema from "effect/Schema"
import * as Driver from "mongodb"
import * as Codec from "../../src/Codec.js"
import { all, type Any, bsonOf, packages, secondCopy, valuesOf } from "../support/data/bson.js"

/** The first line of a failure that says what is expected. */
const expectedBy = (effect: Effect.Effect<unknown, unknown>) =>
  Effect.map(Effect.flip(effect), (error) => String(error))

/** What each schema refuses, and what it asks for. */
const refused: Readonly<Record<string, ReadonlyArray<readonly [value: unknown, message: string]>>> = {
  ObjectIdFromSelf: [["0123456789abcdef01234567", "Expected an ObjectId"]],
  ObjectIdFromHex: [
    ["0123", "Expected 24 hexadecimal digits"],
    ["0123456789abcdef0123456g", "Expected 24 hexadecimal digits"],
    ["twelve bytes", "Expected 24 hexadecimal digits"],
    [12, "Expected string"]
  ],
  HexFromObjectId: [["0123456789abcdef01234567", "Expected an ObjectId"]],
  Decimal128FromSelf: [[1.5, "Expected a Decimal128"]],
  Decimal128FromString: [
    ["one", "Expected a decimal number of at most 34 digits as text"],
    // of which the driver makes 1E-6176
    ["1E-99999", "Expected a decimal number of at most 34 digits as text"],
    ["", "Expected a decimal number of at most 34 digits as text"],
    ["-", "Expected a decimal number of at most 34 digits as text"],
    ["+", "Expected a decimal number of at most 34 digits as text"],
    ["1".repeat(35), "Expected a decimal number of at most 34 digits as text"]
  ],
  BigDecimalFromDecimal128: [
    [Driver.Decimal128.fromString("NaN"), "Expected a Decimal128 that is a finite number"],
    [Driver.Decimal128.fromString("-Infinity"), "Expected a Decimal128 that is a finite number"]
  ],
  LongFromSelf: [
    [1, "Expected a Long with a sign"],
    [new Driver.Timestamp({ t: 1, i: 1 }), "Expected a Long with a sign"],
    [Driver.Long.fromString("18446744073709551615", true), "Expected a Long with a sign"]
  ],
  LongFromString: [
    ["1.5", "Expected an integer of 64 bits as text"],
    ["9223372036854775808", "Expected an integer of 64 bits as text"]
  ],
  BigIntFromLong: [[1n, "Expected a Long with a sign"]],
  UUIDFromSelf: [
    ["01234567-89ab-4def-8123-456789abcdef", "Expected a UUID of the driver"],
    [new Driver.Binary(Buffer.alloc(16)), "Expected a UUID of the driver"]
  ],
  UUIDFromString: [
    ["0123456789ab4def8123456789abcdef", "Expected a UUID of 36 characters"],
    ["g1234567-89ab-4def-8123-456789abcdef", "Expected a UUID of 36 characters"]
  ],
  StringFromUUID: [["01234567-89ab-4def-8123-456789abcdef", "Expected a UUID of the driver"]],
  BinaryFromSelf: [[new Uint8Array(2), "Expected a Binary"]],
  BinaryFromBase64: [["*", "Expected bytes as Base64"]],
  BinaryFromUint8Array: [["ab", "Expected Uint8Array"]],
  TimestampFromSelf: [[Driver.Long.ONE, "Expected a Timestamp"]],
  TimestampFromParts: [
    [{ t: 1, i: -1 }, "Expected an integer from 0 to 4294967295"],
    [{ t: 1.5, i: 1 }, "Expected an integer from 0 to 4294967295"]
  ]
}

/** The same for values that have no text or bytes to stand for them. */
const notEncoded: Readonly<Record<string, readonly [value: unknown, message: string]>> = {
  BinaryFromBase64: [new Driver.Binary(Buffer.from("a"), 128), "Expected a Binary of subtype 0"],
  BinaryFromUint8Array: [new Driver.UUID(), "Expected a Binary of subtype 0"],
  BigIntFromLong: [2n ** 63n, "Expected a bigint of 64 bits"],
  HexFromObjectId: ["0123", "Expected 24 hexadecimal digits"],
  StringFromUUID: ["0123", "Expected a UUID of 36 characters"]
}

for (const used of packages) {
  const { S, isSame, json, name, pretty, values } = used
  const schemas = Object.entries(all(used))
  const decode = (schema: Any, value: unknown) => S.decodeUnknown(schema)(value)
  const encode = (schema: Any, value: unknown) => S.encodeUnknown(schema)(value)
  const selves = schemas.filter(([schema]) => schema in valuesOf(Driver))

  describe(`schemas of ${name}`, () => {
    it.each(schemas)("%s decodes what it has encoded", (_, schema) => {
      const same = isSame(schema)
      FastCheck.assert(FastCheck.property(values(schema), (value) => {
        const stored = Effect.runSync(Effect.either(encode(schema, value)))
        // A binary may have a subtype that is not taken.
        FastCheck.pre(stored._tag === "Right")
        expect(same(Effect.runSync(decode(schema, stored.right)), value)).toBe(true)
      }))
    })

    it.each(selves)("%s tells values apart as BSON does", (_, schema) => {
      const same = isSame(schema)
      FastCheck.assert(FastCheck.property(values(schema), values(schema), (value, other) => {
        const [bytes, others] = [value, other].map((one) => Driver.BSON.serialize({ one }))
        expect(same(value, other)).toBe(Buffer.compare(bytes ?? Buffer.of(), others ?? Buffer.of()) === 0)
        expect(same(value, value)).toBe(true)
      }))
    })

    it.effect.each(schemas)(
      "%s refuses what does not fit, and says what it expects",
      ([schemaName, schema]) =>
        Effect.gen(function*() {
          const lookalike = { _bsontype: "ObjectId", id: "0123456789abcdef01234567" }
          for (const [value, message] of refused[schemaName] ?? []) {
            expect(yield* expectedBy(decode(schema, value))).toContain(message)
          }
          for (const value of [undefined, null, {}, [], lookalike, Object.create({ _bsontype: 7 })]) {
            expect(yield* expectedBy(decode(schema, value))).toMatch(/Expected|is missing/)
          }
          const [value, message] = notEncoded[schemaName] ?? []
          if (message !== undefined) expect(yield* expectedBy(encode(schema, value))).toContain(message)
        })
    )

    it.effect.each(selves)(
      "%s takes no object of JSON for a value of BSON",
      ([schemaName, schema]) =>
        Effect.gen(function*() {
          const own = valuesOf(Driver)[schemaName] as object & { readonly _bsontype: string }
          // All that the class has, but as fields.
          const copied = { ...own, _bsontype: own._bsontype, [Symbol.for("@@mdb.bson.version")]: 7 }
          const parsed: unknown = JSON.parse(`{"_bsontype":"${own._bsontype}","__proto__":{"_bsontype":"ObjectId"}}`)
          const assigned: unknown = Object.assign({}, parsed)
          for (const value of [copied, parsed, assigned, JSON.parse(JSON.stringify(own))]) {
            expect(yield* expectedBy(decode(schema, value))).toContain("Expected a")
          }
        })
    )

    it.effect.each(selves)(
      "%s takes values of another copy of the same bson, which BSON stores",
      ([schemaName, schema]) =>
        Effect.gen(function*() {
          const value = valuesOf(secondCopy())[schemaName]
          const own = valuesOf(Driver)[schemaName] as object
          expect(value).not.toBeInstanceOf(own.constructor)
          expect(yield* decode(schema, value)).toBe(value)
          expect(yield* encode(schema, value)).toBe(value)
          expect(isSame(schema)(value, own)).toBe(true)
          expect(Driver.BSON.serialize({ value })).toEqual(Driver.BSON.serialize({ value: own }))
        })
    )

    it.effect.each(selves)(
      "%s refuses values of another version of bson, and says what to do",
      ([schemaName, schema]) =>
        Effect.gen(function*() {
          const [other] = [bsonOf("mongodb"), bsonOf("mongodb6")].filter((bson) => {
            const id = Driver.BSON.ObjectId.prototype as object
            const version = Symbol.for("@@mdb.bson.version")
            return Reflect.get(bson.ObjectId.prototype, version) !== Reflect.get(id, version)
          })
          if (other === undefined) return expect.fail("there is no other version of bson")
          const value = valuesOf(other)[schemaName]
          expect(() => Driver.BSON.serialize({ value })).toThrow()
          for (const parsed of [decode(schema, value), encode(schema, value)]) {
            expect(yield* expectedBy(parsed)).toContain(
              "of the driver's own version of bson: make one of it from its text"
            )
          }
          const struct = S.Struct({ a: schema }) as unknown as Schema.Schema<object, Driver.Document>
          const failed = yield* Effect.flip(Codec.fromSchema(struct).encode({ a: value }, "shop.users"))
          expect(failed.message).toContain("make one of it from its text or its bytes")
        })
    )

    it.each(selves)("%s has a JSON schema of what JSON.stringify makes of its values", (schemaName, schema) => {
      const described = json(schema) as {
        readonly type: string
        readonly pattern?: string
        readonly properties?: object
        readonly description: string
      }
      const written: unknown = JSON.parse(JSON.stringify(valuesOf(Driver)[schemaName]))
      expect(typeof written).toBe(described.type)
      expect(described.description).toMatch(/^an? /)
      if (typeof written === "string") expect(written).toMatch(new RegExp(described.pattern ?? ""))
      else expect(Object.keys(Object(written)).sort()).toEqual(Object.keys(described.properties ?? {}).sort())
    })

    it("texts have a JSON schema with a pattern", () => {
      expect(json(used.Schemas.ObjectIdFromHex as unknown as Any)).toMatchObject({
        type: "string",
        pattern: "^[0-9a-fA-F]{24}$",
        description: "24 hexadecimal digits"
      })
      expect(json(used.Schemas.UUIDFromString as unknown as Any)).toMatchObject({ type: "string" })
    })

    it("values are shown by what they are", () => {
      const shown = selves.map(([schemaName, schema]) => pretty(schema)(valuesOf(Driver)[schemaName]))
      expect(shown.sort()).toEqual([
        "Binary(subtype 128, 3 bytes)",
        "Decimal128(1.50)",
        "Long(9007199254740993)",
        "ObjectId(0123456789abcdef01234567)",
        "Timestamp(7, 2)",
        "UUID(01234567-89ab-4def-8123-456789abcdef)"
      ])
    })

    it.effect("digits of either case are read, and lower case is written", () =>
      Effect.gen(function*() {
        const id = yield* S.decode(used.Schemas.ObjectIdFromHex)("0123456789ABCDEF01234567")
        expect(yield* S.encode(used.Schemas.ObjectIdFromHex)(id)).toBe("0123456789abcdef01234567")
        const uuid = yield* S.decode(used.Schemas.UUIDFromString)("01234567-89AB-4DEF-8123-456789ABCDEF")
        expect(yield* S.encode(used.Schemas.UUIDFromString)(uuid)).toBe("01234567-89ab-4def-8123-456789abcdef")
      }))

    it.effect("an id beside keeps what is derived of a schema: JSON schema, values, equality", () =>
      Effect.gen(function*() {
        class User extends S.Class<User>("User")({ name: S.NonEmptyString }) {}
        for (const schema of [S.Struct({ name: S.NonEmptyString }), User]) {
          const Whole = used.Schemas.withId(schema)
          const whole = Whole as unknown as Any
          expect(json(whole)).toMatchObject({
            required: ["name", "_id"],
            properties: { _id: { type: "string", description: "an ObjectId" }, name: expect.anything() }
          })
          expect(json(Whole.insert as unknown as Any)).toMatchObject({ required: ["name"] })
          const [one, other] = FastCheck.sample(values(whole), 2)
          expect(isSame(whole)(one, yield* S.decodeUnknown(whole)(yield* S.encodeUnknown(whole)(one)))).toBe(true)
          expect(isSame(whole)(one, other)).toBe(false)
          expect(pretty(whole)(one)).toContain("ObjectId(")
          expect(yield* expectedBy(encode(whole, { name: "Ada" }))).toContain("_id")
          expect(yield* encode(Whole.insert as unknown as Any, { name: "Ada" })).toEqual({ name: "Ada" })
        }
      }))
  })
}
