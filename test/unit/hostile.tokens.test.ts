import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { BSON } from "mongodb"
import * as CausalToken from "../../src/CausalToken.js"
import { seal } from "../../src/internal/values/sealed.js"
import * as ResumeToken from "../../src/ResumeToken.js"
import { DecodeFailed, SessionMisconfigured } from "../../src/SessionErrors.js"
import { SessionId } from "../../src/SessionId.js"
import { build, everyLeaf, holds } from "../support/hostile/hostile.js"

const signed = Either.getOrThrow(CausalToken.signed(Redacted.make("s".repeat(32))))
const token = new CausalToken.CausalToken({
  operationTime: Option.some(7n),
  clusterTime: Option.some({ time: 8n, hash: new Uint8Array(20), keyId: 9n })
})

const decoders = [
  ["a causal token", CausalToken.decode, CausalToken.encode(token)],
  ["a signed causal token", signed.decode, signed.encode(token)],
  ["a resume token", ResumeToken.decode, ResumeToken.encode(new ResumeToken.ResumeToken({ _data: "82AB" }))],
  ["a session's id", SessionId.fromString, "0d6d2b3c-0f9e-4b53-9f5d-6bd0e2a4c111"]
] as const

// Whatever the types say: a header may be there twice, and a field of JSON may be anything.
const given = (value: unknown): string => value as string
const sealed = (prefix: string, bytes: Uint8Array): string =>
  seal({ prefix, source: "", atLeast: 0, atMost: Infinity, lengthOf: () => bytes.length }, bytes)

describe("texts of strangers", () => {
  for (const [what, decode, genuine] of decoders) {
    const isTyped = (value: unknown): void => {
      const decoded: Either.Either<object, DecodeFailed> = decode(given(value))
      if (Either.isLeft(decoded)) {
        expect(decoded.left).toBeInstanceOf(DecodeFailed)
        expect(decoded.left.message.length).toBeLessThan(1000)
      } else {
        expect(String(decoded.right).length).toBeLessThan(100_000)
      }
    }

    it(`are no ${what.replace(/^an? /, "")} unless they are one`, () => {
      expect(decode(genuine)._tag).toBe("Right")
      for (const leaf of everyLeaf) {
        isTyped(build(leaf))
        isTyped([genuine])
        isTyped({ length: genuine.length, toString: () => genuine })
        isTyped(genuine + "A".repeat(1_000_000))
        isTyped(genuine.slice(0, 4) + "A".repeat(2_000_000))
      }
      const near = FastCheck.tuple(FastCheck.nat(genuine.length), FastCheck.string({ unit: "binary", maxLength: 3 }))
      holds(near, ([at, text]) => isTyped(genuine.slice(0, at) + text + genuine.slice(at + text.length)))
      holds(FastCheck.string({ unit: "binary", maxLength: 200 }), (text) => isTyped(genuine.slice(0, 4) + text))
    })
  }

  it("with a right checksum are no causal token unless they are one", () => {
    holds(FastCheck.uint8Array({ maxLength: 80 }), (bytes) => {
      const decoded = CausalToken.decode(sealed("ct1.", bytes))
      if (Either.isRight(decoded)) expect(CausalToken.encode(decoded.right)).toBe(sealed("ct1.", bytes))
    })
  })

  it("with a right checksum are no causal token if their signature is longer than any", () => {
    const long = new CausalToken.CausalToken({
      operationTime: Option.none(),
      clusterTime: Option.some({ time: 1n, hash: new Uint8Array(100_000), keyId: 1n })
    })
    expect(Either.isLeft(CausalToken.decode(CausalToken.encode(long)))).toBe(true)
  })

  it("with a right checksum are no resume token if their document is none of the server's", () => {
    let deep: object = { x: 1 }
    for (let level = 0; level < 3000; level++) deep = { a: deep }
    const documents: ReadonlyArray<Uint8Array> = [
      bytesOf(JSON.parse("{\"__proto__\":{\"polluted\":true}}")),
      bytesOf(deep),
      // A field of this name makes the driver take it for a type of BSON's.
      renamed({ xbsontype: "Timestamp" }),
      renamed({ a: { xbsontype: "Long" } }),
      renamed({ a: { xbsontype: { b: 1 } } }),
      renamed({ a: { toXSON: 1 } }),
      bytesOf({ $ref: "a", $id: 1 })
    ]
    for (const bytes of documents) {
      const decoded = ResumeToken.decode(sealed("rt1.", bytes))
      if (Either.isRight(decoded)) expect(ResumeToken.encode(decoded.right)).toBe(sealed("rt1.", bytes))
    }
    holds(FastCheck.uint8Array({ minLength: 1, maxLength: 60 }), (tail) => {
      const bytes = new Uint8Array(4 + tail.length)
      new DataView(bytes.buffer).setInt32(0, bytes.length, true)
      bytes.set(tail, 4)
      ResumeToken.decode(sealed("rt1.", bytes))
    })
    const fields = FastCheck.dictionary(
      FastCheck.constantFrom("_data", "__proto__", "xbsontype", "$ref", "$id", "scope", "code"),
      FastCheck.jsonValue()
    )
    holds(fields, (document) => void ResumeToken.decode(sealed("rt1.", renamed(document))))
  })

  it("are no secrets of a signer, nor is what was wiped", () => {
    const wiped = Redacted.make("s".repeat(40))
    Redacted.unsafeWipe(wiped)
    const secrets = [
      wiped,
      Object.create(wiped) as unknown,
      ...everyLeaf.flatMap((leaf) => [Redacted.make(build(leaf)), [build(leaf)]])
    ]
    for (const secret of secrets) {
      const made = CausalToken.signed(secret as Redacted.Redacted)
      if (Either.isLeft(made)) expect(made.left).toBeInstanceOf(SessionMisconfigured)
    }
  })
})

function bytesOf(document: object): Uint8Array {
  return BSON.serialize(document)
}

// The encoder of the driver would not write such a field.
function renamed(document: object): Uint8Array {
  const bytes = Buffer.from(BSON.serialize(document))
  for (const [from, to] of [["xbsontype", "_bsontype"], ["toXSON", "toBSON"]] as const) {
    for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from)) bytes.write(to, at)
  }
  return bytes
}
