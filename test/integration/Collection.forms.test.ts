import * as OldSchema from "@effect/schema/Schema"
import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Driver from "mongodb"
import * as Collection from "../../src/Collection.js"
import { on } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

type Kind = readonly [schema: (S: typeof Schema) => Schema.Schema.Any, values: FastCheck.Arbitrary<unknown>]

const int64 = FastCheck.bigInt(-(2n ** 63n), 2n ** 63n - 1n)
const bytes = FastCheck.uint8Array({ maxLength: 40 })
const text = FastCheck.string({ maxLength: 10 })

/** A schema of every kind of BSON value, and values of it. */
const kinds: Readonly<Record<string, Kind>> = {
  number: [(S) => S.Number, FastCheck.oneof(FastCheck.double({ noNaN: true }), FastCheck.maxSafeInteger())],
  bigint: [(S) => S.BigIntFromSelf, FastCheck.oneof(int64, FastCheck.bigInt(-9n, 9n))],
  text: [(S) => S.String, text],
  flag: [(S) => S.Boolean, FastCheck.boolean()],
  nothing: [(S) => S.Null, FastCheck.constant(null)],
  date: [(S) => S.DateFromSelf, FastCheck.date({ noInvalidDate: true })],
  bytes: [(S) => S.Uint8ArrayFromSelf, bytes],
  buffer: [(S) => S.instanceOf(Buffer), bytes.map((value) => Buffer.from(value))],
  reference: [
    (S) => S.Struct({ $ref: S.String, $id: S.BigIntFromSelf, $db: S.optional(S.String) }),
    FastCheck.record({ $ref: FastCheck.constant("a"), $id: int64, $db: FastCheck.constant("b") }, {
      requiredKeys: ["$ref", "$id"]
    })
  ],
  long: [(S) => S.instanceOf(Driver.Long), int64.map((n) => Driver.Long.fromBigInt(n))],
  int: [(S) => S.instanceOf(Driver.Int32), FastCheck.integer().map((n) => new Driver.Int32(n))],
  double: [(S) => S.instanceOf(Driver.Double), FastCheck.double({ noNaN: true }).map((n) => new Driver.Double(n))],
  decimal: [
    (S) => S.instanceOf(Driver.Decimal128),
    FastCheck.integer().map((n) => Driver.Decimal128.fromString(`${n}.5`))
  ],
  objectId: [(S) => S.instanceOf(Driver.ObjectId), FastCheck.constant(0).map(() => new Driver.ObjectId())],
  uuid: [(S) => S.instanceOf(Driver.UUID), FastCheck.constant(0).map(() => new Driver.UUID())],
  binary: [(S) => S.instanceOf(Driver.Binary), bytes.map((value) => new Driver.Binary(value))],
  timestamp: [(S) => S.instanceOf(Driver.Timestamp), FastCheck.nat().map((t) => new Driver.Timestamp({ t, i: 1 }))],
  expression: [(S) => S.instanceOf(RegExp), FastCheck.constantFrom(/a+/i, /^b$/m)],
  bsonExpression: [(S) => S.instanceOf(Driver.BSONRegExp), FastCheck.constant(new Driver.BSONRegExp("a", "i"))],
  list: [(S) => S.Array(S.BigIntFromSelf), FastCheck.array(int64, { maxLength: 3 })],
  tuple: [(S) => S.Tuple(S.Uint8ArrayFromSelf, S.Number), FastCheck.tuple(bytes, FastCheck.integer())],
  either: [
    (S) => S.Union(S.String, S.Struct({ n: S.BigIntFromSelf })),
    FastCheck.oneof(text, FastCheck.record({ n: int64 }))
  ],
  record: [(S) => S.Record({ key: S.String, value: S.BigIntFromSelf }), FastCheck.record({ a: int64, b: int64 })],
  decoded: [(S) => S.BigInt, int64]
}

const packages = [["effect/Schema", Schema], ["@effect/schema", OldSchema as unknown as typeof Schema]] as const

// All of the driver's options for reading, each of which changes the form of some values; the last ones exclude each other.
const options = FastCheck.record<Driver.BSONSerializeOptions>({
  promoteBuffers: FastCheck.boolean(),
  bsonRegExp: FastCheck.boolean(),
  ignoreUndefined: FastCheck.boolean(),
  serializeFunctions: FastCheck.boolean()
}).chain((some) =>
  FastCheck.constantFrom<Driver.BSONSerializeOptions>(
    {},
    { promoteLongs: false },
    { promoteValues: false },
    { useBigInt64: true }
  ).map((numbers) => ({ ...some, ...numbers }))
)

/** Comparable, whatever class the bytes are of. */
const shown = (value: unknown): string =>
  Driver.BSON.EJSON.stringify(Driver.BSON.deserialize(Driver.BSON.serialize({ value }), { promoteValues: false }), {
    relaxed: false
  })

const classOf = (value: unknown): unknown =>
  value instanceof Uint8Array ? Uint8Array : Array.isArray(value) ? value.map(classOf) : Object(value).constructor

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  for (const [name, S] of packages) {
    describe(name, () => {
      it.effect("reads every kind of value as it was written, whatever the options of the client", () =>
        Effect.gen(function*() {
          const All = S.Struct(
            Object.fromEntries(Object.entries(kinds).map(([kind, [schema]]) => [kind, schema(S)]))
          ) as unknown as Schema.Schema<Readonly<Record<string, unknown>>>
          const documents = FastCheck.record(
            Object.fromEntries(Object.entries(kinds).map(([kind, [, values]]) => [kind, values]))
          )
          const runs = FastCheck.sample(FastCheck.tuple(options, FastCheck.array(documents, { minLength: 1 })), 50)
          const database = yield* TestServer.database
          for (const [driver, values] of runs) {
            yield* Monitor.withClient({ driver }, (watched) =>
              on(watched)(Effect.gen(function*() {
                const Things = Collection.make("things", { database, schema: All })
                yield* Things.deleteMany({})
                yield* Things.insertMany(values)
                const found = Array.from(yield* Stream.runCollect(Things.find()))
                expect(found).toHaveLength(values.length)
                for (const [index, value] of values.entries()) {
                  for (const kind of Object.keys(kinds)) {
                    const about = `${kind} with ${JSON.stringify(driver)}`
                    expect(shown(found[index]?.[kind]), about).toBe(shown(value[kind]))
                    expect(classOf(found[index]?.[kind]), about).toEqual(classOf(value[kind]))
                  }
                }
              })))
          }
        }))

      it.effect("reads an int64 of any size as the nearest number", () =>
        Monitor.withClient({ driver: { useBigInt64: true } }, (watched) =>
          on(watched)(Effect.gen(function*() {
            const database = yield* TestServer.database
            const Counted = S.Struct({ n: S.Number }) as unknown as Schema.Schema<{ readonly n: number }>
            const Numbers = Collection.make("numbers", { database, schema: Counted })
            yield* Collection.make("numbers", { database }).insertMany([{ n: 2n ** 60n + 1n }, { n: 7n }])
            expect(Array.from(yield* Stream.runCollect(Numbers.find()), ({ n }) => n)).toEqual([2 ** 60, 7])
          }))))
    })
  }
})
