import * as Schema from "@effect/schema/Schema"
import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as fc from "effect/FastCheck"
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import { crc32 } from "node:zlib"
import * as CausalToken from "../../src/CausalToken.js"
import * as OldSchemas from "../../src/OldSchemas.js"

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const i64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const option = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: undefined }).map(Option.fromNullable)
const hash = fc.oneof(
  fc.uint8Array({ minLength: 20, maxLength: 20 }),
  fc.uint8Array({ maxLength: 70 }),
  fc.constant(new Uint8Array(20))
)
const clusterTime = fc.record({ time: u64, hash, keyId: i64 })
const token = fc.record({ operationTime: option(u64), clusterTime: option(clusterTime) })
  .map((times) => new CausalToken.CausalToken(times))

// tokens whose times collide often, so that the tie-breaks of merge are exercised
const close = fc.record({
  operationTime: option(fc.bigInt({ min: 0n, max: 2n })),
  clusterTime: option(fc.record({
    time: fc.bigInt({ min: 0n, max: 1n }),
    hash: fc.uint8Array({ maxLength: 1 }),
    keyId: fc.bigInt({ min: -1n, max: 1n })
  }))
}).map((times) => new CausalToken.CausalToken(times))

const characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= +/é\u0000"

const expectRefused = (text: string) => {
  const result = CausalToken.decode(text)
  expect(Either.isLeft(result)).toBe(true)
  if (Either.isLeft(result)) {
    expect(result.left._tag).toBe("DecodeFailed")
    expect(result.left.source).toBe("CausalToken")
    expect(refusals).toContain(result.left.message)
  }
}

// a closed list of fixed texts: nothing of the input can be in them
const refusals = [
  "CausalToken: is not a token of this version",
  "CausalToken: is not base64url",
  "CausalToken: is too short",
  "CausalToken: has the wrong length",
  "CausalToken: is too long",
  "CausalToken: has the wrong checksum",
  "CausalToken: is not in its canonical form"
]

const sample = new CausalToken.CausalToken({
  operationTime: Option.some(7_300_000_000_000_000_001n),
  clusterTime: Option.some({
    time: 7_300_000_000_000_000_002n,
    hash: Uint8Array.from({ length: 20 }, (_, index) => index * 11),
    keyId: 7_200_000_000_000_000_003n
  })
})

describe("CausalToken", () => {
  it.each([
    "",
    "ct1.",
    "ct1",
    "ct2.AAAA",
    "ct1.A",
    "ct1.====",
    "ct1.mongodb://root:hunter2@db.example",
    `CT1${CausalToken.encode(sample).slice(3)}`,
    ` ${CausalToken.encode(sample)}`,
    `${CausalToken.encode(sample)}\n`,
    `${CausalToken.encode(sample)}=`,
    CausalToken.encode(sample) + CausalToken.encode(sample)
  ])("refuses %j", expectRefused)

  it.each([
    ["ct2." + CausalToken.encode(sample).slice(4), "is not a token of this version"],
    [CausalToken.encode(sample).slice(0, -1) + "+", "is not base64url"],
    [CausalToken.encode(sample).slice(0, 40), "is too short"],
    [CausalToken.encode(sample).slice(0, -4), "has the wrong length"],
    [CausalToken.encode(sample).replace("A2", "A3"), "has the wrong checksum"]
  ])("tells what is wrong with %s: it %s", (text, issue) => {
    expect(Either.getOrThrow(Either.flip(CausalToken.decode(text))).issue).toBe(issue)
  })

  it("refuses a token with any single character changed", () => {
    const text = CausalToken.encode(sample)
    for (let index = 0; index < text.length; index++) {
      for (const character of characters) {
        if (character !== text[index]) expectRefused(text.slice(0, index) + character + text.slice(index + 1))
      }
    }
  })

  it("refuses any token with a character changed, dropped, doubled or swapped with its neighbour", () => {
    fc.assert(fc.property(token, fc.nat(), fc.constantFrom(...characters), (value, at, character) => {
      const text = CausalToken.encode(value)
      const index = at % text.length
      const [before, here, after] = [text.slice(0, index), text.slice(index, index + 1), text.slice(index + 1)]
      const garbled = [
        before + character + after,
        before + after,
        before + here + here + after,
        before + after.slice(0, 1) + here + after.slice(1)
      ]
      garbled.filter((other) => other !== text).forEach(expectRefused)
    }))
  })

  it("refuses every truncation and extension", () => {
    fc.assert(
      fc.property(token, fc.base64String({ minLength: 1, maxLength: 40 }), (value, more) => {
        const text = CausalToken.encode(value)
        for (let length = 0; length < text.length; length++) expectRefused(text.slice(0, length))
        expectRefused(text + more)
      }),
      { numRuns: 30 }
    )
  })

  it("refuses garbage without throwing or quoting it", () => {
    const body = fc.uint8Array({ maxLength: 80 }).map((bytes) => `ct1.${Buffer.from(bytes).toString("base64url")}`)
    fc.assert(fc.property(fc.oneof(fc.string(), fc.string().map((text) => `ct1.${text}`), body), expectRefused), {
      numRuns: 2000
    })
  })

  it("refuses flags that it does not know and values that the flags deny", () => {
    const reseal = (change: (bytes: Buffer) => void) => {
      const bytes = Buffer.from(CausalToken.encode(CausalToken.empty).slice(4), "base64url")
      change(bytes)
      bytes.writeUInt32BE(crc32(bytes.subarray(0, -4)), bytes.length - 4)
      return `ct1.${bytes.toString("base64url")}`
    }
    expect(reseal(() => {})).toBe(CausalToken.encode(CausalToken.empty))
    for (const change of [(b: Buffer) => b.writeUInt8(4, 0), (b: Buffer) => b.writeUInt8(1, 16)]) {
      const result = Either.flip(CausalToken.decode(reseal(change)))
      expect(Either.getOrThrow(result).issue).toBe("is not in its canonical form")
    }
  })

  it("comes back from its text as it was", () => {
    fc.assert(fc.property(token, (value) => {
      const text = CausalToken.encode(value)
      const back = Either.getOrThrow(CausalToken.decode(text))
      expect(back.operationTime).toEqual(value.operationTime)
      expect(back.clusterTime).toEqual(value.clusterTime)
      expect(Equal.equals(back, value)).toBe(true)
      expect(Hash.hash(back)).toBe(Hash.hash(value))
      expect(CausalToken.encode(back)).toBe(text)
    }))
  })

  it("comes back through the schema, which refuses garbage in both directions", () => {
    fc.assert(fc.property(token, (value) => {
      const text = Schema.encodeSync(OldSchemas.CausalTokenFromString)(value)
      expect(text).toBe(CausalToken.encode(value))
      expect(Equal.equals(Schema.decodeSync(OldSchemas.CausalTokenFromString)(text), value)).toBe(true)
    }))
    expect(Either.isLeft(Schema.decodeUnknownEither(OldSchemas.CausalTokenFromString)("ct1.garbage"))).toBe(true)
    expect(Either.isLeft(Schema.encodeUnknownEither(OldSchemas.CausalTokenFromString)({ operationTime: 1n }))).toBe(
      true
    )
  })

  it("is text that a header, a cookie and a URL can carry", () => {
    fc.assert(fc.property(token, (value) => {
      const text = CausalToken.encode(value)
      expect(text).toMatch(/^[A-Za-z0-9._-]+$/)
      expect(new Headers({ "x-causal": text }).get("x-causal")).toBe(text)
      expect(encodeURIComponent(text)).toBe(text)
    }))
    expect(CausalToken.encode(sample).length).toBe(75)
  })

  it("keeps its text between versions of the library", () => {
    expect(CausalToken.encode(CausalToken.empty)).toBe("ct1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAALVMUm")
    expect(Either.getOrThrow(CausalToken.decode(pinned))).toEqual(sample)
    expect(String(sample)).toBe(pinned)
    expect(JSON.stringify({ token: sample })).toBe(`{"token":"${pinned}"}`)
  })

  it("is equal exactly when times and signature are", () => {
    fc.assert(
      fc.property(close, close, (a, b) => {
        const same = JSON.stringify(plain(a)) === JSON.stringify(plain(b))
        expect(Equal.equals(a, b)).toBe(same)
        if (same) expect(Hash.hash(a)).toBe(Hash.hash(b))
      }),
      { numRuns: 1000 }
    )
    expect(Equal.equals(CausalToken.empty, { ...CausalToken.empty })).toBe(false)
  })

  it("takes numbers as BSON does: signed readings of the same 64 bits are the same time", () => {
    const of = (time: bigint) =>
      new CausalToken.CausalToken({ operationTime: Option.some(time), clusterTime: Option.none() })
    expect(Equal.equals(of(-1n), of(2n ** 64n - 1n))).toBe(true)
  })

  it("does not change with the hash it was made of", () => {
    const hash = new Uint8Array(20)
    const value = new CausalToken.CausalToken({
      operationTime: Option.none(),
      clusterTime: Option.some({ time: 1n, hash, keyId: 0n })
    })
    const before = CausalToken.encode(value)
    hash.fill(9)
    expect(CausalToken.encode(value)).toBe(before)
  })

  it("merges in any order and grouping, and gains nothing from itself or from an empty one", () => {
    fc.assert(
      fc.property(close, close, close, (a, b, c) => {
        const { merge } = CausalToken
        expect(Equal.equals(merge(a, b), merge(b, a))).toBe(true)
        expect(Equal.equals(merge(merge(a, b), c), merge(a, merge(b, c)))).toBe(true)
        expect(Equal.equals(merge(a, a), a)).toBe(true)
        expect(Equal.equals(merge(a, CausalToken.empty), a)).toBe(true)
        expect(Equal.equals(merge(b)(a), merge(a, b))).toBe(true)
      }),
      { numRuns: 1000 }
    )
  })

  it("merges to the later of both times, and never tears a signature from its time", () => {
    fc.assert(fc.property(token, token, (a, b) => {
      const both = CausalToken.merge(a, b)
      const max = (times: ReadonlyArray<Option.Option<bigint>>) =>
        times.flatMap(Option.toArray).reduce<bigint | undefined>((x, y) => x === undefined || y > x ? y : x, undefined)
      expect(Option.getOrUndefined(both.operationTime)).toBe(max([a.operationTime, b.operationTime]))
      const times = [a, b].map(({ clusterTime }) => Option.map(clusterTime, ({ time }) => time))
      expect(Option.getOrUndefined(Option.map(both.clusterTime, ({ time }) => time))).toBe(max(times))
      expect([a.clusterTime, b.clusterTime]).toContainEqual(both.clusterTime)
    }))
  })

  it("prefers a signed cluster time to an unsigned one of the same time", () => {
    const of = (keyId: bigint, byte: number) =>
      new CausalToken.CausalToken({
        operationTime: Option.none(),
        clusterTime: Option.some({ time: 5n, hash: new Uint8Array(20).fill(byte), keyId })
      })
    expect(Equal.equals(CausalToken.merge(of(0n, 0), of(3n, 1)), of(3n, 1))).toBe(true)
  })
})

const plain = (value: CausalToken.CausalToken) => ({
  operationTime: Option.map(value.operationTime, String),
  clusterTime: Option.map(value.clusterTime, ({ hash, keyId, time }) => [String(time), String(keyId), [...hash]])
})

// worked out with other tools from the layout: flags, operation time, cluster time, key id, length, hash, CRC-32
const pinned = "ct1.A2VOz1KsWgABZU7PUqxaAAJj64naTtAAAwAAABQACxYhLDdCTVhjbnmEj5qlsLvG0QaXhHQ"
