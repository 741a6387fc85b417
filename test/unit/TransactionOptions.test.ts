import { describe, expect, it } from "@effect/vitest"
import type * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "effect/FastCheck"
import { inspect } from "node:util"
import * as TransactionOptions from "../../src/TransactionOptions.js"

const secret = "hunter2"
const decode = (options: TransactionOptions.TransactionOptions) => Either.getOrThrow(TransactionOptions.decode(options))
const issues = (options: unknown) =>
  Either.match(TransactionOptions.decode(options), {
    onLeft: ({ issues }) => issues.map(({ message, path }) => [path.join("."), message]),
    onRight: () => []
  })

const nothing: TransactionOptions.Decoded = {
  readConcern: undefined,
  writeConcern: undefined,
  readPreference: undefined,
  maxCommitTime: undefined,
  timeout: undefined,
  warnings: undefined
}

const unwarned = { documents: undefined, operations: undefined, bytes: undefined, age: undefined }

const acknowledged =
  /^expected a number of members of at least 1 \(transactions do not support unacknowledged write concern, w: 0\)/
const time = /^expected a finite time of at least 1 millisecond$/
const serverTime = /^expected a time of at least 1 millisecond and at most 2147483647$/
const threshold = /^expected a whole number of at least 1, or false$/
const level = /^expected the level "local", "majority" or "snapshot"/

const wrong: ReadonlyArray<readonly [options: unknown, path: string, message: RegExp]> = [
  [null, "", /^expected an object of transaction options$/],
  [secret, "", /^expected an object of transaction options$/],
  [[], "", /^expected an object of transaction options$/],
  [{ w: 0 }, "w", /^is not a known key$/],
  [{ readconcern: "local" }, "readconcern", /^is not a known key$/],
  [{ [`${secret} `]: 1 }, "<key>", /^is not a known key$/],
  [{ readConcern: "available" }, "readConcern", level],
  [{ readConcern: "linearizable" }, "readConcern", level],
  [{ readConcern: { level: "linearizable" } }, "readConcern.level", level],
  [{ readConcern: { level: secret } }, "readConcern.level", level],
  [{ readConcern: {} }, "readConcern.level", /^is missing$/],
  [{ readConcern: { level: "local", extra: secret } }, "readConcern.extra", /^is not a known key$/],
  [{ readConcern: null }, "readConcern", level],
  [{ writeConcern: 0 }, "writeConcern", acknowledged],
  [{ writeConcern: -1 }, "writeConcern", acknowledged],
  [{ writeConcern: 1.5 }, "writeConcern", acknowledged],
  [{ writeConcern: NaN }, "writeConcern", acknowledged],
  [{ writeConcern: "" }, "writeConcern", acknowledged],
  [{ writeConcern: "0" }, "writeConcern", acknowledged],
  [{ writeConcern: " 0 " }, "writeConcern", acknowledged],
  [{ writeConcern: true }, "writeConcern", acknowledged],
  [{ writeConcern: { w: 0 } }, "writeConcern.w", acknowledged],
  [{ writeConcern: { w: "0" } }, "writeConcern.w", acknowledged],
  [{ writeConcern: { w: 0, journal: true } }, "writeConcern.w", acknowledged],
  [{ writeConcern: { journal: "yes" } }, "writeConcern.journal", /^expected a boolean$/],
  [{ writeConcern: { wtimeout: 0 } }, "writeConcern.wtimeout", serverTime],
  [{ writeConcern: { wtimeoutMS: 10 } }, "writeConcern.wtimeoutMS", /^is not a known key$/],
  [{ readPreference: "first" }, "readPreference", /^expected one of the modes primary, /],
  [{ readPreference: { mode: "first" } }, "readPreference.mode", /^expected one of the modes primary, /],
  [{ readPreference: { mode: "nearest", tags: [{ dc: 1 }] } }, "readPreference.tags.0.dc", /^expected a string$/],
  [
    { readPreference: { mode: "nearest", maxStalenessSeconds: 89 } },
    "readPreference.maxStalenessSeconds",
    /^expected a whole number of at least 90$/
  ],
  [
    { readPreference: { mode: "primary", maxStalenessSeconds: 90 } },
    "readPreference.maxStalenessSeconds",
    /^cannot be combined with the mode primary$/
  ],
  [
    { readPreference: { mode: "primary", tags: [{ dc: "ny" }] } },
    "readPreference.tags",
    /^cannot be combined with the mode primary$/
  ],
  ...[
    0,
    -1,
    NaN,
    Infinity,
    -Infinity,
    0.4,
    2 ** 31,
    2 ** 31 - 0.5,
    0n,
    -5n,
    400_000n,
    "",
    "soon",
    "-1 seconds",
    "0 millis"
  ].map(
    (maxCommitTime) => [{ maxCommitTime }, "maxCommitTime", serverTime] as const
  ),
  ...[0, -1, NaN, Infinity, 0n, "5 parsecs", "-1 seconds", [1], [-1, 0], [NaN, 0], [Infinity, 0], {}, null, true].map(
    (timeout) => [{ timeout }, "timeout", time] as const
  ),
  ...[0, -1, 1.5, NaN, Infinity, true, "1000", null].flatMap((documents) => [
    [{ warnings: { documents } }, "warnings.documents", threshold] as const,
    [{ warnings: { operations: documents } }, "warnings.operations", threshold] as const,
    [{ warnings: { bytes: documents } }, "warnings.bytes", threshold] as const
  ]),
  ...[0, -1, Infinity, true, "soon", null].map(
    (age) =>
      [{ warnings: { age } }, "warnings.age", /^expected a finite time of at least 1 millisecond, or false$/] as const
  ),
  [{ warnings: { writes: 1 } }, "warnings.writes", /^is not a known key$/],
  ...[true, null, 1000, []].map(
    (warnings) => [{ warnings }, "warnings", /^expected false, or { documents, operations, bytes, age }$/] as const
  ),
  [{ timeout: Duration.infinity }, "timeout", time],
  [{ timeout: Duration.zero }, "timeout", time],
  [{ timeout: Duration.micros(999n) }, "timeout", time]
]

const right: ReadonlyArray<readonly [TransactionOptions.TransactionOptions, Partial<TransactionOptions.Decoded>]> = [
  [{}, {}],
  [{ readConcern: undefined, timeout: undefined }, {}],
  [{ readConcern: "snapshot" }, { readConcern: { level: "snapshot" } }],
  [{ readConcern: { level: "majority" } }, { readConcern: { level: "majority" } }],
  [{ writeConcern: 1 }, { writeConcern: { w: 1, journal: undefined, wtimeout: undefined } }],
  [{ writeConcern: "majority" }, { writeConcern: { w: "majority", journal: undefined, wtimeout: undefined } }],
  [{ writeConcern: { w: "threeCities" } }, {
    writeConcern: { w: "threeCities", journal: undefined, wtimeout: undefined }
  }],
  [
    { writeConcern: { journal: true, wtimeout: "2 seconds" } },
    { writeConcern: { w: undefined, journal: true, wtimeout: Duration.seconds(2) } }
  ],
  [
    { readPreference: "primary" },
    { readPreference: { mode: "primary", tags: undefined, maxStalenessSeconds: undefined } }
  ],
  [
    { readPreference: { mode: "primary", tags: [] } },
    { readPreference: { mode: "primary", tags: [], maxStalenessSeconds: undefined } }
  ],
  [
    { readPreference: { mode: "nearest", tags: [{ dc: "ny" }, {}], maxStalenessSeconds: 90 } },
    { readPreference: { mode: "nearest", tags: [{ dc: "ny" }, {}], maxStalenessSeconds: 90 } }
  ],
  [{ maxCommitTime: 1 }, { maxCommitTime: Duration.millis(1) }],
  [{ maxCommitTime: 2 ** 31 - 1 }, { maxCommitTime: Duration.millis(2 ** 31 - 1) }],
  [{ maxCommitTime: 1_000_001n }, { maxCommitTime: Duration.millis(2) }],
  [{ timeout: [1, 500_000_000] }, { timeout: Duration.millis(1500) }],
  [{ timeout: "5 minutes" }, { timeout: Duration.minutes(5) }],
  [{ warnings: {} }, { warnings: unwarned }],
  [{ warnings: { documents: 5000, age: "20 seconds" } }, {
    warnings: { ...unwarned, documents: 5000, age: Duration.seconds(20) }
  }],
  [{ warnings: { bytes: false, age: false } }, { warnings: { ...unwarned, bytes: false, age: false } }],
  [{ warnings: false }, { warnings: { documents: false, operations: false, bytes: false, age: false } }]
]

const times = fc.oneof(
  fc.integer({ min: 1, max: 2 ** 31 - 1 }),
  fc.integer({ min: 1, max: 86_400 }).map((seconds): Duration.DurationInput => `${seconds} seconds`),
  fc.integer({ min: 1, max: 86_400 }).map((seconds): Duration.DurationInput => Duration.seconds(seconds)),
  fc.bigInt({ min: 1_000_000n, max: 10n ** 15n }),
  fc.double({ min: 1, max: 1e6, noNaN: true })
)
const maybe = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: undefined })
const w = fc.oneof(fc.integer({ min: 1, max: 50 }), fc.constantFrom("majority", "threeCities"))
const levels = fc.constantFrom<TransactionOptions.ReadConcernLevel>("local", "majority", "snapshot")
const thresholds = fc.oneof(fc.integer({ min: 1, max: 1e9 }), fc.constant(false as const))
const mode = fc.constantFrom<TransactionOptions.ReadPreferenceMode>("secondary", "nearest", "primaryPreferred")
const options: fc.Arbitrary<TransactionOptions.TransactionOptions> = fc.record({
  readConcern: maybe(fc.oneof(levels, fc.record({ level: levels }))),
  writeConcern: maybe(fc.oneof(w, fc.record({ w: maybe(w), journal: maybe(fc.boolean()), wtimeout: maybe(times) }))),
  readPreference: maybe(fc.oneof(
    fc.constant("primary" as const),
    mode,
    fc.record({
      mode,
      tags: maybe(fc.array(fc.dictionary(fc.constantFrom("dc", "rack"), fc.string()))),
      maxStalenessSeconds: maybe(fc.integer({ min: 90, max: 1e6 }))
    })
  )),
  maxCommitTime: maybe(times),
  timeout: maybe(times),
  warnings: maybe(fc.oneof(
    fc.constant(false as const),
    fc.record({
      documents: maybe(thresholds),
      operations: maybe(thresholds),
      bytes: maybe(thresholds),
      age: maybe(fc.oneof(times, fc.constant(false as const)))
    })
  ))
}, { requiredKeys: [] })

describe("transaction options", () => {
  it.each(wrong.map(([options, path, message]) => [inspect(options), path, options, message] as const))(
    "%s are refused at '%s'",
    (_, path, options, message) => {
      const found = issues(options)
      expect(found).toEqual([[path, expect.stringMatching(message)]])
      expect(JSON.stringify(found)).not.toContain(secret)
    }
  )

  it("are refused with all their issues at once, those of fields and those between fields", () => {
    expect(
      issues({
        readConcern: { level: "linearizable", x: 1 },
        writeConcern: { w: 0, journal: 1, wtimeout: -1, j: true },
        readPreference: { mode: "primary", tags: [{ dc: "ny" }], maxStalenessSeconds: 90 },
        maxCommitTime: -1,
        timeout: "soon",
        retries: 3
      }).map(([path]) => path).sort()
    ).toEqual([
      "maxCommitTime",
      "readConcern.level",
      "readConcern.x",
      "readPreference.maxStalenessSeconds",
      "readPreference.tags",
      "retries",
      "timeout",
      "writeConcern.j",
      "writeConcern.journal",
      "writeConcern.w",
      "writeConcern.wtimeout"
    ])
  })

  it("are decoded or refused, but never thrown at, whatever they are", () => {
    const keyed = fc.dictionary(
      fc.constantFrom(
        "readConcern",
        "writeConcern",
        "readPreference",
        "maxCommitTime",
        "timeout",
        "warnings",
        "__proto__"
      ),
      fc.oneof(fc.anything(), fc.dictionary(fc.constantFrom("w", "level", "mode", "tags", "age"), fc.anything()))
    )
    const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true })
    fc.assert(
      fc.property(fc.oneof(anything, keyed), (input) => {
        const result = TransactionOptions.decode(input)
        if (Either.isLeft(result)) expect(result.left.issues.length).toBeGreaterThan(0)
      }),
      { numRuns: 1000 }
    )
  })

  it.each(right.map(([options, expected]) => [inspect(options), options, expected] as const))(
    "%s are decoded",
    (_, options, expected) => {
      expect(decode(options)).toStrictEqual({ ...nothing, ...expected })
    }
  )

  it("may be none at all", () => {
    expect(Either.getOrThrow(TransactionOptions.decode(undefined))).toStrictEqual(nothing)
  })

  it("decode to themselves once decoded", () => {
    fc.assert(fc.property(options, (options) => {
      const decoded = decode(options)
      expect(decode(decoded)).toStrictEqual(decoded)
    }))
  })

  it("have times in whole milliseconds, never shorter than asked for", () => {
    fc.assert(fc.property(times, (timeout) => {
      const millis = Duration.toMillis(decode({ timeout }).timeout ?? Duration.zero)
      expect(Number.isInteger(millis)).toBe(true)
      expect(millis).toBeGreaterThanOrEqual(Duration.toMillis(timeout))
      expect(millis).toBeLessThan(Duration.toMillis(timeout) + 1)
    }))
  })

  describe("of a transaction and defaults of its session", () => {
    it("are merged field by field, the transaction's own first", () => {
      fc.assert(fc.property(options.map(decode), options.map(decode), (start, defaults) => {
        const merged = TransactionOptions.merge(start, defaults)
        expect(merged).toStrictEqual({
          readConcern: start.readConcern ?? defaults.readConcern,
          writeConcern: start.writeConcern ?? defaults.writeConcern,
          readPreference: start.readPreference ?? defaults.readPreference,
          maxCommitTime: start.maxCommitTime ?? defaults.maxCommitTime,
          timeout: start.timeout ?? defaults.timeout ?? Duration.seconds(120),
          warnings: start.warnings === undefined && defaults.warnings === undefined ? undefined : {
            documents: start.warnings?.documents ?? defaults.warnings?.documents,
            operations: start.warnings?.operations ?? defaults.warnings?.operations,
            bytes: start.warnings?.bytes ?? defaults.warnings?.bytes,
            age: start.warnings?.age ?? defaults.warnings?.age
          }
        })
        expect(TransactionOptions.merge(merged, defaults)).toStrictEqual(merged)
      }))
    })

    it("leave the session's timeout in force where the transaction names none", () => {
      const { timeout } = TransactionOptions.merge(decode({}), decode({ timeout: "10 seconds" }))
      expect(timeout).toEqual(Duration.seconds(10))
    })

    it("take a write concern whole: a default's journal does not slip into the transaction's own", () => {
      const { writeConcern } = TransactionOptions.merge(
        decode({ writeConcern: 1 }),
        decode({ writeConcern: { w: "majority", journal: true } })
      )
      expect(writeConcern).toEqual({ w: 1, journal: undefined, wtimeout: undefined })
    })

    it("end in 120 seconds where nobody says otherwise", () => {
      expect(TransactionOptions.merge(decode({}), undefined)).toStrictEqual({
        ...nothing,
        timeout: Duration.seconds(120)
      })
    })
  })

  describe("from configuration", () => {
    const load = <A>(config: Config.Config<A>, values: { readonly [key: string]: string }) =>
      Effect.runSync(Effect.either(Effect.withConfigProvider(
        config,
        ConfigProvider.fromMap(new Map(Object.entries(values)), { pathDelim: "_" })
      )))

    it("are refused by the same rules, each issue at its key, without the value", () => {
      const result = load(TransactionOptions.config(), {
        TRANSACTION_READ_CONCERN: secret,
        TRANSACTION_WRITE_CONCERN_W: "0",
        TRANSACTION_WRITE_CONCERN_JOURNAL: secret,
        TRANSACTION_READ_PREFERENCE: "primary",
        TRANSACTION_MAX_STALENESS_SECONDS: "90",
        TRANSACTION_TIMEOUT: "-1 seconds",
        TRANSACTION_WARNINGS_BYTES: secret,
        // No unit: it could be seconds as well as milliseconds.
        TRANSACTION_WARNINGS_AGE: "30"
      })
      const text = String(Either.getOrThrow(Either.flip(result)))
      for (
        const key of [
          "READ_CONCERN",
          "WRITE_CONCERN_W",
          "WRITE_CONCERN_JOURNAL",
          "MAX_STALENESS_SECONDS",
          "TIMEOUT",
          "WARNINGS_BYTES",
          "WARNINGS_AGE"
        ]
      ) {
        expect(text).toContain(`Invalid data at TRANSACTION.${key}:`)
      }
      expect(text).not.toContain(secret)
    })

    it("are those of the keys that are there", () => {
      const result = load(TransactionOptions.config("PAY"), {
        PAY_READ_CONCERN: "snapshot",
        PAY_WRITE_CONCERN_W: "2",
        PAY_WRITE_CONCERN_JOURNAL: "on",
        PAY_WRITE_CONCERN_WTIMEOUT: "3 seconds",
        PAY_READ_PREFERENCE: "nearest",
        PAY_MAX_STALENESS_SECONDS: "120",
        PAY_MAX_COMMIT_TIME: "4 seconds",
        PAY_TIMEOUT: "5 seconds",
        PAY_WARNINGS_DOCUMENTS: "5000",
        PAY_WARNINGS_OPERATIONS: "false",
        PAY_WARNINGS_BYTES: "1000000",
        PAY_WARNINGS_AGE: "20 seconds",
        TRANSACTION_TIMEOUT: "nonsense"
      })
      expect(Either.getOrThrow(result)).toStrictEqual(decode({
        readConcern: "snapshot",
        writeConcern: { w: 2, journal: true, wtimeout: "3 seconds" },
        readPreference: { mode: "nearest", maxStalenessSeconds: 120 },
        maxCommitTime: "4 seconds",
        timeout: "5 seconds",
        warnings: { documents: 5000, operations: false, bytes: 1_000_000, age: "20 seconds" }
      }))
      expect(Either.getOrThrow(load(TransactionOptions.config(""), { WRITE_CONCERN_W: "majority" })))
        .toStrictEqual(decode({ writeConcern: { w: "majority" } }))
      expect(Either.getOrThrow(load(TransactionOptions.config(), {}))).toStrictEqual(nothing)
    })
  })
})
