import * as OldSchema from "@effect/schema/Schema"
import { describe, expect, it } from "@effect/vitest"
import * as BigDecimal from "effect/BigDecimal"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Layer from "effect/Layer"
import * as List from "effect/List"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as PrimaryKey from "effect/PrimaryKey"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as SortedSet from "effect/SortedSet"
import * as Stream from "effect/Stream"
import * as Driver from "mongodb"
import * as Vm from "node:vm"
import { storable, type Stored, weightOf } from "../../src/internal/data/values.js"

const stored = (document: Driver.Document) => storable(document, "insertOne", "a.b")
const searched = (value: object) => weightOf({ values: [value] }, "find", "a.b")

const refusal = (hint: string) => ({ reason: "EncodingFailed", hint: expect.stringContaining(hint) })

const tagged = (tag: string, fields: object) =>
  Object.assign(
    Object.create({
      get [Symbol.toStringTag]() {
        return tag
      }
    }) as object,
    fields
  )

describe("an object with a tag", () => {
  it("is a document of its fields, if it has some, whatever tag a program has given to it", () => {
    for (const tag of ["Set", "Blob", "URL", "Generator", "Error", "Array Iterator", "Money"]) {
      const money = tagged(tag, { cents: 5 })
      expect(stored({ money })).toMatchObject({ document: { money } })
    }
    expect(stored({ money: tagged("Set", {}) })).toMatchObject(refusal("a Set"))
  })

  it("is of the language, whatever fields it has besides", () => {
    class Tags extends Set<string> {
      readonly of = "a"
    }
    const given = [new Tags(), Object.assign(new URL("https://example.com"), { of: "a" }), new Int16Array(2)]
    for (const value of given) expect(stored({ value })).toMatchObject(refusal("`value` is a"))
  })

  it("is refused where it is an iterator of any kind", () => {
    async function* generate() {
      yield await Promise.resolve(1)
    }
    const helper: unknown = Reflect.get(Object([1].values()), "map")
    const given = [
      "ab"[Symbol.iterator](),
      "ab".matchAll(/a/g),
      new Set([1]).entries(),
      generate(),
      tagged("Iterator Helper", {})
    ]
    const helped: unknown = typeof helper === "function" ? helper.call([1].values(), (n: number) => n) : [1].values()
    for (const value of [...given, helped]) {
      expect(stored({ value })).toMatchObject(refusal("give an array"))
      expect(searched({ value })).toMatchObject(refusal("give an array"))
    }
  })
})

describe("a value of Effect", () => {
  it.each(Object.entries({
    Option: Option.some(1),
    Either: Either.right(1),
    Cause: Cause.fail(1),
    Duration: Duration.seconds(1),
    BigDecimal: BigDecimal.unsafeFromString("1.5"),
    DateTime: DateTime.unsafeMake(0),
    TimeZone: DateTime.zoneMakeOffset(3_600_000),
    HashMap: HashMap.make([1, 2]),
    HashSet: HashSet.make(1),
    SortedSet: SortedSet.make(Order.number)(1),
    List: List.make(1),
    Chunk: Chunk.make(1),
    Redacted: Redacted.make("secret")
  }))("is refused, with a schema that encodes it: %s", (name, value) => {
    const hint = `is Effect's \`${name}\`: give what a schema encodes it as, like \`Schema.${name}`
    expect(stored({ a: [{ value }] })).toMatchObject(refusal(`\`a.0.value\` ${hint}`))
    expect(searched({ value })).toMatchObject(refusal(hint))
    expect(weightOf({ command: { value } }, "command", "a.b")).toMatchObject(refusal(hint))
    expect(stored(value)).toMatchObject(refusal(hint))
  })

  it("is refused where it stands for no data", () => {
    const given = [
      Effect.succeed(1),
      Exit.fail(1),
      Effect.runSync(Ref.make(1)),
      Layer.empty,
      Stream.empty,
      Context.empty()
    ]
    for (const value of given) expect(stored({ value })).toMatchObject(refusal("`value` is a value of Effect"))
    expect(stored({ value: Option.none() })).toMatchObject(refusal("Effect's `Option`"))
  })

  it("is a document where a program has made its class by Effect", () => {
    class Place extends Data.Class<{ readonly city: string }> {}
    class Person extends Schema.Class<Person>("Person")({ name: Schema.String }) {}
    class Old extends OldSchema.Class<Old>("Old")({ name: OldSchema.String }) {}
    class Ask extends Schema.TaggedRequest<Ask>()("Ask", {
      payload: { name: Schema.String },
      success: Schema.Void,
      failure: Schema.Never
    }) {
      [PrimaryKey.symbol]() {
        return this.name
      }
    }
    const person = { name: "Ada" }
    const given = [
      new Person(person),
      new Old(person),
      new Ask(person),
      new Place({ city: "a" }),
      Data.struct({ a: 1 })
    ]
    for (const value of given) {
      expect(stored({ value })).toMatchObject({ document: { value } })
      expect(stored(value)).toMatchObject({ document: { ...value } })
    }
  })
})

describe("an object of the platform", () => {
  it("is refused where it would be a document without fields", () => {
    const given: Readonly<Record<string, object>> = {
      Headers: new Headers({ a: "b" }),
      FormData: new FormData(),
      Response: new Response("a"),
      ReadableStream: new ReadableStream(),
      AbortSignal: AbortSignal.abort(),
      TextEncoder: new TextEncoder(),
      "Intl.NumberFormat": new Intl.NumberFormat("en"),
      "Intl.Locale": new Intl.Locale("en"),
      "WebAssembly.Memory": Vm.runInThisContext("new WebAssembly.Memory({ initial: 1 })") as object
    }
    for (const [name, value] of Object.entries(given)) {
      const hint = `is an object of the platform's class \`${name}\``
      expect(stored({ value }), name).toMatchObject(refusal(`\`value\` ${hint}`))
      expect(searched({ value }), name).toMatchObject(refusal(hint))
      expect(stored({ value: tagged(name, {}) }), name).toMatchObject({ document: { value: {} } })
    }
  })

  it("is a document where a program's class has fields", () => {
    class Target extends EventTarget {
      readonly of = "a"
    }
    expect(stored({ value: new Target() })).toMatchObject({ document: { value: { of: "a" } } })
  })
})

describe("an object of another realm", () => {
  const other = (code: string): Driver.Document => Vm.runInNewContext(`(${code})`) as Driver.Document

  it("is looked into where it is a Map, a Date or a RegExp", () => {
    const wrong: ReadonlyArray<readonly [code: string, hint: string]> = [
      ["new Map([['b', () => 1]])", "`a.b` is a function"],
      ["new Map([[1, 2]])", "`a` is a Map with a key that is no text"],
      ["new Date(NaN)", "`a` is an invalid date"],
      ["/a/u", "`a` is a RegExp"]
    ]
    for (const [code, hint] of wrong) {
      expect(stored({ a: other(code) }), code).toMatchObject(refusal(hint))
      expect(searched({ a: other(code) }), code).toMatchObject(refusal(hint))
    }
    expect(searched(other("new Map([['age', undefined]])"))).toMatchObject(refusal("`age` is undefined"))
    expect(searched({ a: other("/a/g") })).toMatchObject(refusal("`a` is a RegExp"))
  })

  it("is stored as one of this realm", () => {
    const { document } = stored({
      map: other("new Map([['b', 1], ['c', undefined]])"),
      date: other("new Date(5)"),
      regExp: other("/a.b/s"),
      list: other("[{ a: 1 }]")
    }) as Stored<Driver.Document>
    expect(Driver.BSON.deserialize(Driver.BSON.serialize(document), { bsonRegExp: true })).toEqual({
      map: { b: 1 },
      date: new Date(5),
      regExp: new Driver.BSONRegExp("a.b", "s"),
      list: [{ a: 1 }]
    })
    expect(stored(other("new Map([['a', 1], ['b', undefined]])"))).toMatchObject({ document: { a: 1 } })
  })

  it("is no document where it is a Date, a RegExp or bytes", () => {
    for (const code of ["new Date(5)", "/a/", "new Uint8Array(2)"]) {
      expect(stored(other(code)), code).toMatchObject(refusal("give an object of fields"))
      expect(weightOf({ filters: [other(code)] }, "deleteMany", "a.b"), code).toMatchObject({
        reason: "InvalidOptions"
      })
    }
  })
})
