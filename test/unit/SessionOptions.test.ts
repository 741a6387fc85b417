import { describe, expect, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "effect/FastCheck"
import { Timestamp } from "mongodb"
import { inspect } from "node:util"
import * as SessionOptions from "../../src/SessionOptions.js"
import * as TransactionOptions from "../../src/TransactionOptions.js"

const secret = "hunter2"
const decode = (options: SessionOptions.SessionOptions) => Either.getOrThrow(SessionOptions.decode(options))
const issues = (options: unknown) =>
  Either.match(SessionOptions.decode(options), {
    onLeft: ({ issues }) => issues.map(({ message, path }) => [path.join("."), message]),
    onRight: () => []
  })
const at = new Timestamp({ t: 1_700_000_000, i: 1 })

const defaults: SessionOptions.Decoded = {
  causalConsistency: true,
  snapshot: false,
  snapshotTime: undefined,
  defaultTransactionOptions: undefined,
  keepAlive: true,
  onBusy: "queue",
  onLapse: "fail",
  release: "pool",
  settleTimeout: undefined,
  timeout: undefined
}

const time = "expected a finite time of at least 1 millisecond"

const wrong: ReadonlyArray<readonly [options: unknown, issues: ReadonlyArray<readonly [string, unknown]>]> = [
  [null, [["", "expected an object of session options"]]],
  [secret, [["", "expected an object of session options"]]],
  [[], [["", "expected an object of session options"]]],
  [{ causalConsistancy: true }, [["causalConsistancy", "is not a known key"]]],
  [{ causalConsistency: "true" }, [["causalConsistency", "expected a boolean"]]],
  [{ snapshot: 1 }, [["snapshot", "expected a boolean"]]],
  [{ keepAlive: null }, [["keepAlive", "expected a boolean"]]],
  [{ onBusy: secret }, [["onBusy", "expected \"queue\" or \"fail\""]]],
  [{ onLapse: secret }, [["onLapse", "expected \"fail\" or \"renew\""]]],
  [{ release: secret }, [["release", "expected \"pool\" or \"end\""]]],
  ...[0, -1, NaN, Infinity, -Infinity, 0.5, 0n, -1n, "soon", "-3 seconds", null, {}, Duration.infinity].map(
    (settleTimeout) => [{ settleTimeout }, [["settleTimeout", time]]] as const
  ),
  [{ snapshot: true, causalConsistency: true }, [["causalConsistency", "cannot be true on a snapshot session"]]],
  [{ snapshotTime: at }, [["snapshotTime", "needs snapshot to be true"]]],
  [{ snapshotTime: at, snapshot: false }, [["snapshotTime", "needs snapshot to be true"]]],
  [{ snapshotTime: at, snapshot: secret }, [["snapshot", "expected a boolean"]]],
  [{ snapshotTime: new Date() }, [["snapshotTime", "expected a BSON timestamp"]]],
  [{ snapshot: true, snapshotTime: 17n }, [["snapshotTime", "expected a BSON timestamp"]]],
  [
    { snapshot: true, defaultTransactionOptions: {} },
    [["defaultTransactionOptions", "a snapshot session cannot have transactions"]]
  ],
  [{ defaultTransactionOptions: secret }, [["defaultTransactionOptions", "expected an object of transaction options"]]],
  [{ defaultTransactionOptions: { w: 0 } }, [["defaultTransactionOptions.w", "is not a known key"]]],
  [
    { defaultTransactionOptions: { writeConcern: 0 } },
    [["defaultTransactionOptions.writeConcern", expect.stringContaining("w: 0")]]
  ],
  [
    { defaultTransactionOptions: { writeConcern: { w: 0 } } },
    [["defaultTransactionOptions.writeConcern.w", expect.stringContaining("w: 0")]]
  ],
  [
    { defaultTransactionOptions: { writeConcern: { w: 1, fsync: true } } },
    [["defaultTransactionOptions.writeConcern.fsync", "is not a known key"]]
  ],
  [{ defaultTransactionOptions: { timeout: -1 } }, [["defaultTransactionOptions.timeout", time]]],
  [
    { defaultTransactionOptions: { readPreference: { mode: "primary", maxStalenessSeconds: 90 } } },
    [["defaultTransactionOptions.readPreference.maxStalenessSeconds", "cannot be combined with the mode primary"]]
  ]
]

const maybe = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: undefined })
const millis = fc.integer({ min: 1, max: 1e6 })
const common = {
  keepAlive: maybe(fc.boolean()),
  onBusy: maybe(fc.constantFrom("queue" as const, "fail" as const)),
  onLapse: maybe(fc.constantFrom("fail" as const, "renew" as const)),
  release: maybe(fc.constantFrom("pool" as const, "end" as const)),
  settleTimeout: maybe(millis)
}
const options: fc.Arbitrary<SessionOptions.SessionOptions> = fc.oneof(
  fc.record({
    ...common,
    causalConsistency: maybe(fc.boolean()),
    snapshot: maybe(fc.constant(false)),
    defaultTransactionOptions: maybe(fc.record({
      writeConcern: maybe(fc.constantFrom(1, "majority")),
      readConcern: maybe(fc.constantFrom("local" as const, "majority" as const, "snapshot" as const)),
      readPreference: maybe(fc.constantFrom("primary" as const, "nearest" as const)),
      timeout: maybe(millis)
    }))
  }, { requiredKeys: [] }),
  fc.record({
    ...common,
    causalConsistency: maybe(fc.constant(false)),
    snapshot: fc.constant(true),
    snapshotTime: maybe(fc.constant(at))
  })
)

describe("session options", () => {
  it.each(wrong.map(([options, expected]) => [inspect(options), options, expected] as const))(
    "%s are refused",
    (_, options, expected) => {
      const found = issues(options)
      expect(found).toEqual(expected)
      expect(JSON.stringify(found)).not.toContain(secret)
    }
  )

  it("are refused with all their issues at once, those of fields and those between fields", () => {
    const result = SessionOptions.decode({
      snapshot: true,
      causalConsistency: true,
      snapshotTime: secret,
      keepAlive: secret,
      onBusy: "wait",
      onLapse: 1,
      release: false,
      settleTimeout: NaN,
      unknown: secret,
      defaultTransactionOptions: {
        readConcern: "linearizable",
        writeConcern: { w: 0, wtimeout: -1 },
        readPreference: { mode: "primary", tags: [{ dc: "ny" }] },
        timeout: Infinity,
        alsoUnknown: secret
      }
    })
    const error = Either.getOrThrow(Either.flip(result))
    const paths = [
      "causalConsistency",
      "defaultTransactionOptions",
      "defaultTransactionOptions.alsoUnknown",
      "defaultTransactionOptions.readConcern",
      "defaultTransactionOptions.readPreference.tags",
      "defaultTransactionOptions.timeout",
      "defaultTransactionOptions.writeConcern.w",
      "defaultTransactionOptions.writeConcern.wtimeout",
      "keepAlive",
      "onBusy",
      "onLapse",
      "release",
      "settleTimeout",
      "snapshotTime",
      "unknown"
    ]
    expect(error.issues.map(({ path }) => path.join(".")).sort()).toEqual(paths)
    paths.forEach((path) => expect(error.message).toContain(`${path}: `))
    expect(`${error.message} ${JSON.stringify(error)}`).not.toContain(secret)
  })

  it("are decoded or refused, but never thrown at, whatever they are", () => {
    const keyed = fc.dictionary(
      fc.constantFrom(...Object.keys(defaults), "client", "__proto__", "toString"),
      fc.oneof(fc.anything(), fc.constantFrom(true, false, at), fc.dictionary(fc.string(), fc.anything()))
    )
    const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true })
    fc.assert(
      fc.property(fc.oneof(anything, keyed), (input) => {
        const result = SessionOptions.decode(input)
        if (Either.isLeft(result)) {
          expect(result.left.issues.length).toBeGreaterThan(0)
        } else {
          expect(result.right.snapshot && result.right.causalConsistency).toBe(false)
        }
      }),
      { numRuns: 1000 }
    )
  })

  it.each<readonly [SessionOptions.SessionOptions, Partial<SessionOptions.Decoded>]>([
    [{}, {}],
    [{ causalConsistency: undefined, snapshot: undefined, snapshotTime: undefined }, {}],
    [{ causalConsistency: false }, { causalConsistency: false }],
    [{ snapshot: true }, { snapshot: true, causalConsistency: false }],
    [{ snapshot: true, causalConsistency: false }, { snapshot: true, causalConsistency: false }],
    [{ snapshot: true, snapshotTime: at }, { snapshot: true, causalConsistency: false, snapshotTime: at }],
    [{ keepAlive: false, onBusy: "fail" }, { keepAlive: false, onBusy: "fail" }],
    [{ onLapse: "renew", release: "end" }, { onLapse: "renew", release: "end" }],
    [{ settleTimeout: "30 seconds" }, { settleTimeout: Duration.seconds(30) }],
    [
      { defaultTransactionOptions: { writeConcern: "majority", timeout: 5 } },
      {
        defaultTransactionOptions: {
          readConcern: undefined,
          writeConcern: { w: "majority", journal: undefined, wtimeout: undefined },
          readPreference: undefined,
          maxCommitTime: undefined,
          timeout: Duration.millis(5),
          warnings: undefined
        }
      }
    ]
  ])("%j are decoded, with every default", (options, expected) => {
    expect(decode(options)).toStrictEqual({ ...defaults, ...expected })
  })

  it("may be none at all", () => {
    expect(Either.getOrThrow(SessionOptions.decode(undefined))).toStrictEqual(defaults)
  })

  it("decode to themselves once decoded", () => {
    fc.assert(fc.property(options, (options) => {
      const decoded = decode(options)
      expect(decode(decoded)).toStrictEqual(decoded)
    }))
  })

  it("know a timestamp from another copy of the driver", () => {
    const foreign = Object.assign(Object.create(null), { _bsontype: "Timestamp" })
    expect(decode({ snapshot: true, snapshotTime: foreign }).snapshotTime).toBe(foreign)
  })

  describe("from configuration", () => {
    const load = (values: { readonly [key: string]: string }, prefix?: string) =>
      Effect.runSync(Effect.either(Effect.withConfigProvider(
        SessionOptions.config(prefix),
        ConfigProvider.fromMap(new Map(Object.entries(values)))
      )))

    it("are refused by the same rules, each issue at its key, without the value", () => {
      const text = String(Either.getOrThrow(Either.flip(load({
        "SESSION.SNAPSHOT": "true",
        "SESSION.CAUSAL_CONSISTENCY": "true",
        "SESSION.KEEP_ALIVE": secret,
        "SESSION.ON_BUSY": secret,
        "SESSION.SETTLE_TIMEOUT": "0 seconds",
        "SESSION.TIMEOUT": "never",
        "SESSION.TRANSACTION.WRITE_CONCERN_W": "0",
        "SESSION.TRANSACTION.TIMEOUT": secret
      }))))
      const keys = [
        "CAUSAL_CONSISTENCY",
        "KEEP_ALIVE",
        "ON_BUSY",
        "SETTLE_TIMEOUT",
        "TIMEOUT",
        "TRANSACTION.WRITE_CONCERN_W",
        "TRANSACTION.TIMEOUT"
      ]
      keys.forEach((key) => expect(text).toContain(`Invalid data at SESSION.${key}: `))
      expect(text).toContain("a snapshot session cannot have transactions")
      expect(text).not.toContain(secret)
    })

    it("are those of the keys that are there", () => {
      expect(Either.getOrThrow(load({
        "SESSION.CAUSAL_CONSISTENCY": "no",
        "SESSION.KEEP_ALIVE": "off",
        "SESSION.ON_BUSY": "fail",
        "SESSION.ON_LAPSE": "renew",
        "SESSION.RELEASE": "end",
        "SESSION.SETTLE_TIMEOUT": "10 seconds",
        "SESSION.TIMEOUT": "20 seconds",
        "SESSION.TRANSACTION.WRITE_CONCERN_W": "majority",
        "SESSION.TRANSACTION.MAX_COMMIT_TIME": "5 seconds"
      }))).toStrictEqual(decode({
        causalConsistency: false,
        keepAlive: false,
        onBusy: "fail",
        onLapse: "renew",
        release: "end",
        settleTimeout: "10 seconds",
        timeout: "20 seconds",
        defaultTransactionOptions: { writeConcern: "majority", maxCommitTime: "5 seconds" }
      }))
      expect(Either.getOrThrow(load({ "REPORTS.SNAPSHOT": "yes" }, "REPORTS"))).toStrictEqual(
        decode({ snapshot: true })
      )
      expect(Either.getOrThrow(load({ SNAPSHOT: "1" }, ""))).toStrictEqual(decode({ snapshot: true }))
      expect(Either.getOrThrow(load({}))).toStrictEqual(defaults)
    })

    it("can be used as options again", () => {
      const options: SessionOptions.SessionOptions = Either.getOrThrow(load({ "SESSION.ON_BUSY": "fail" }))
      expect(decode({ ...options, keepAlive: false })).toStrictEqual({ ...defaults, onBusy: "fail", keepAlive: false })
    })
  })

  it("give transactions their defaults, which transactions can override", () => {
    const { defaultTransactionOptions } = decode({
      defaultTransactionOptions: { timeout: "10 seconds", readConcern: "local" }
    })
    const start = Either.getOrThrow(TransactionOptions.decode({ readConcern: "snapshot" }))
    expect(TransactionOptions.merge(start, defaultTransactionOptions)).toMatchObject({
      readConcern: { level: "snapshot" },
      timeout: Duration.seconds(10)
    })
  })
})
