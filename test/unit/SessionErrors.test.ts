import * as Schema from "@effect/schema/Schema"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as EffectSchema from "effect/Schema"
import * as Driver from "mongodb"
import * as Codec from "../../src/Codec.js"
import { MongoError } from "../../src/MongoError.js"
import * as Errors from "../../src/SessionErrors.js"

const secrets = /hunter2|root:|mongodb(\+srv)?:|db\.internal|ada@|4111/
const url = "mongodb://root:hunter2@db.internal:27017/shop"
const document = { _id: "ada@example.org", card: "4111 1111 1111 1111" }

const leaky = Object.assign(new Error(`${url} ${JSON.stringify(document)}`), { document })
const driverError = new Driver.MongoServerError({ message: `${url} ${JSON.stringify(document)}`, keyValue: document })
const mongoError = new MongoError({
  reason: "WriteConflict",
  operation: "update",
  namespace: "shop.users",
  code: 112,
  codeName: "WriteConflict",
  labels: ["TransientTransactionError"],
  cause: driverError
})
const taggedUserError = { _tag: "PaymentRefused", ...document }
const times = { attempts: 3, elapsed: Duration.millis(1500) }

type AnyError =
  | Errors.TransactionError<"required" | "requiresNew" | "mandatory" | "never">
  | Errors.OperationError
  | Errors.UseError
  | Errors.AcquireError
  | Errors.DecodeFailed
  | Errors.ConsumerReplaced
  | Errors.CausalTokenRefused
  | Errors.HandlingFailed
  | Errors.InProgress
  | Errors.KeyReused
  | Errors.LeaseLost
  | Errors.LeaseTaken
  | Errors.StepsOutdated
  | Errors.StepsDiverged
  | Errors.CompensationFailed

const cases: ReadonlyArray<readonly [AnyError, string]> = [
  [
    new Errors.SessionMisconfigured({
      issues: [
        { path: ["snapshotTime"], message: "needs snapshot to be true" },
        { path: ["defaultTransactionOptions", "timeout"], message: "expected a finite time" },
        { path: [], message: "expected an object" }
      ]
    }),
    "invalid options: snapshotTime: needs snapshot to be true; " +
    "defaultTransactionOptions.timeout: expected a finite time; expected an object"
  ],
  [new Errors.CryptoUnavailable(), "the runtime has no secure random source for session ids"],
  [
    new Errors.SessionsUnsupported({ reason: "NoSessionTimeout" }),
    "the deployment does not support this session: it reports no session timeout"
  ],
  [
    new Errors.SessionsUnsupported({ reason: "WireVersion", found: "5", required: "6" }),
    "the deployment does not support this session: its wire version is too old, found 5, required 6"
  ],
  [
    new Errors.SessionsUnsupported({ reason: "SnapshotReads", required: "13" }),
    "the deployment does not support this session: snapshot reads require MongoDB 5.0 or later, and no standalone " +
    "server, required 13"
  ],
  [new Errors.SessionEnded({ operation: "find", reason: "released" }), "find: the session has been released"],
  [
    new Errors.SessionEnded({ operation: "find", reason: "broken" }),
    "find: the session is broken: an operation on it did not settle in time"
  ],
  [
    new Errors.SessionLapsed({ operation: "find", idle: Duration.minutes(31), timeout: Duration.minutes(30) }),
    "find: the session lapsed, idle for 31m of 30m allowed"
  ],
  [new Errors.SessionBusy({ operation: "find", holder: "insert" }), "find: the session is busy with insert"],
  [
    new Errors.SessionBusy({ operation: "find", holder: "the use that it is called in", reason: "use" }),
    "find: the session is busy with the use that it is called in"
  ],
  [
    new Errors.SessionBusy({ operation: "find", holder: "the transaction that it stepped out of", reason: "outside" }),
    "find: the session is busy with the transaction that it stepped out of"
  ],
  [new Errors.ForeignSession({ operation: "find" }), "find: the ambient session belongs to another client"],
  [
    new Errors.UnacknowledgedWrite({ operation: "insertOne", source: "collection" }),
    "insertOne: sessions and transactions do not support unacknowledged write concern (w: 0, set on the collection)"
  ],
  [
    new Errors.DecodeFailed({ source: "shop.users", path: ["address", "zip"], issue: "expected a string" }),
    "shop.users: address.zip: expected a string"
  ],
  [
    new Errors.DecodeFailed({
      source: "shop.users",
      documentId: "65f0c0ffee65f0c0ffee65f0",
      path: [],
      issue: "expected an object"
    }),
    "shop.users, document 65f0c0ffee65f0c0ffee65f0: expected an object"
  ],
  [
    new Errors.DecodeFailed({ source: "shop.users", documentId: document._id, path: ["age"], issue: "is missing" }),
    "shop.users: age: is missing"
  ],
  [
    new Errors.CausalTokenRefused({ ahead: Duration.hours(1), maxAhead: Duration.minutes(5) }),
    "the causal token is 1h ahead of this machine's clock, of 5m allowed"
  ],
  [
    new Errors.TransactionAborted({ ...times, last: mongoError }),
    `the transaction was given up after 3 attempts in 1s 500ms: ${mongoError.message}`
  ],
  [
    new Errors.TransactionAborted({ ...times, attempts: 1, last: leaky }),
    "the transaction was given up after 1 attempt in 1s 500ms: Error"
  ],
  [
    new Errors.TransactionAborted({ ...times, last: taggedUserError }),
    "the transaction was given up after 3 attempts in 1s 500ms: PaymentRefused"
  ],
  [
    new Errors.TransactionAborted({ ...times, last: document }),
    "the transaction was given up after 3 attempts in 1s 500ms: a failure of the program"
  ],
  [
    new Errors.TransactionAborted({ ...times, last: mongoError, nested: true }),
    `the transaction was given up after 3 attempts in 1s 500ms: ${mongoError.message}`
  ],
  [
    new Errors.TransactionAborted({ ...times, last: url }),
    "the transaction was given up after 3 attempts in 1s 500ms: a failure of the program"
  ],
  [
    new Errors.CommitUnknown({ ...times, last: mongoError }),
    `it is unknown whether the transaction was committed, after 3 attempts in 1s 500ms: ${mongoError.message}`
  ],
  [
    new Errors.TransactionDoomed({ first: mongoError }),
    `the transaction could not be committed, for a part of it had failed: ${mongoError.message}`
  ],
  [
    new Errors.TransactionDoomed({ first: { _tag: `Refused ${url}`, document } }),
    "the transaction could not be committed, for a part of it had failed: a failure of the program"
  ],
  [new Errors.TransactionRequired({ operation: "pay" }), "pay: must run inside a transaction"],
  [new Errors.TransactionForbidden({ operation: "pay" }), "pay: must not run inside a transaction"],
  [
    new Errors.IncompatibleJoin({ options: ["readConcern", "timeout"] }),
    "cannot join the running transaction: it was started with other values of readConcern, timeout"
  ],
  [
    new Errors.InvalidInTransaction({ operation: "find", option: "readConcern" }),
    "find: cannot set read concern after starting a transaction"
  ],
  [
    new Errors.InvalidInTransaction({ operation: "bulkWrite", option: "writeConcern" }),
    "bulkWrite: cannot set write concern after starting a transaction"
  ],
  [
    new Errors.InvalidInTransaction({ operation: "find", option: "readPreference" }),
    "find: read preference in a transaction must be primary"
  ],
  [
    new Errors.InvalidInTransaction({ operation: "aggregate", option: "$out" }),
    "aggregate: $out is not allowed in a transaction"
  ],
  [
    new Errors.InvalidInTransaction({ operation: "killCursors", option: "killCursors" }),
    "killCursors is not allowed in a transaction"
  ],
  [
    new Errors.InvalidInTransaction({ operation: "count", option: "count", place: "session" }),
    "count is not allowed in a session"
  ],
  [
    new Errors.InvalidInTransaction({ operation: "commit", option: "commit", place: "sandbox" }),
    "commit is not allowed in a sandbox"
  ],
  [new Errors.TransactionUnsupported({ reason: "Standalone" }), "a standalone server has no transactions"],
  [
    new Errors.TransactionUnsupported({ reason: "SnapshotSession" }),
    "transactions are not supported in snapshot sessions"
  ],
  [
    new Errors.TransactionEnded({ operation: "find" }),
    "find: the attempt of the transaction it belongs to is over"
  ],
  [new Errors.ConsumerReplaced({ consumer: "mailer" }), "another consumer named mailer has taken over"],
  [
    new Errors.HandlingFailed({ kind: "outbox", of: "mails", id: "17", sequence: 3, attempts: 2, cause: leaky }),
    "message 17, number 3, of outbox mails could not be handled (attempt 2)"
  ],
  [
    new Errors.HandlingFailed({ kind: "outbox", of: "mails", id: "17", attempts: 1, cause: taggedUserError }),
    "message 17 of outbox mails could not be handled (attempt 1)"
  ],
  [
    // A resume token may hold the _id of a document.
    new Errors.HandlingFailed({ kind: "consumer", of: "mailer", id: document._id, attempts: 1, cause: leaky }),
    "an event of consumer mailer could not be handled (attempt 1)"
  ],
  [
    new Errors.InProgress({ once: "placing", waited: Duration.millis(10_000.4) }),
    "placing: another run with this key is not done after 10s"
  ],
  [
    new Errors.LeaseLost({ lease: "reports", token: 3, reason: "NotHeld" }),
    "reports: the lease with token 3 is lost: it has run out or was taken"
  ],
  [
    new Errors.LeaseLost({ lease: "reports", token: 3, reason: "NotRenewed", last: mongoError }),
    "reports: the lease with token 3 is lost: it was not renewed in time"
  ],
  [
    new Errors.LeaseTaken({ lease: "reports", remaining: Duration.seconds(7) }),
    "reports: another instance has the lease for another 7s at least"
  ],
  [
    new Errors.StepsOutdated({ steps: "ordering", version: 2, found: 1 }),
    "ordering: the workflow was begun by version 1, and this is version 2"
  ],
  [
    new Errors.StepsDiverged({ steps: "ordering", step: "charge", reason: "Repeated" }),
    "ordering: step charge is there twice"
  ],
  [
    new Errors.CompensationFailed({ steps: "ordering", step: "charge", error: taggedUserError }),
    "ordering: step charge could not be compensated"
  ],
  [new Errors.KeyReused({ once: "placing" }), "placing: the key belongs to a request with another fingerprint"],
  [mongoError, mongoError.message]
]

const errors = cases.map(([error]) => error)

describe("every error", () => {
  it("is among the cases of this file", () => {
    const classes = Object.keys(Errors).filter((name) => /^[A-Z]/.test(name))
    expect(new Set(errors.map(({ _tag }) => _tag))).toEqual(new Set([...classes, "MongoError"]))
  })

  it.each(cases)("%s: has its message", (error, message) => {
    expect(error.message).toBe(message)
    expect(String(error)).toBe(`${error._tag}: ${message}`)
    expect(error.stack?.split("\n")[0]).toBe(`${error._tag}: ${message}`)
  })

  it.each(errors)("%s: shows no URL, password or document", (error) => {
    const texts = [
      error.message,
      String(error),
      error.stack,
      JSON.stringify(error),
      JSON.stringify(Cause.fail(error)),
      Cause.pretty(Cause.fail(error)),
      "hint" in error ? error.hint : ""
    ]
    texts.forEach((text) => expect(text).not.toMatch(secrets))
  })

  it.each(errors.filter(({ _tag }) => _tag !== "MongoError"))("%s: says how to put it right", (error) => {
    const hint = "hint" in error ? error.hint : ""
    expect(hint).toMatch(/^[A-Z].{20,}\.$/s)
    expect(hint).not.toMatch(/undefined|\[object/)
  })

  it.each(errors)("%s: has tag and message in JSON", (error) => {
    expect(JSON.parse(JSON.stringify(error))).toMatchObject({ _tag: error._tag, message: error.message })
  })

  it.effect.each(errors)("%s: is caught by its tag", (error) =>
    Effect.gen(function*() {
      const caught = yield* Effect.catchTag(
        Effect.fail(error),
        error._tag,
        (caught: AnyError) => Effect.succeed<AnyError>(caught)
      )
      expect(caught).toBe(error)
    }))
})

describe("the hint leads out of the very case", () => {
  const hintOfBusy = (reason?: Errors.SessionBusy["reason"]) =>
    new Errors.SessionBusy({ operation: "find", holder: "insert", reason }).hint
  it("of a busy session: to wait helps only where another operation is running", () => {
    expect(hintOfBusy()).toMatch(/onBusy: "queue"/)
    expect(hintOfBusy("running")).toBe(hintOfBusy())
    expect(hintOfBusy("use")).toMatch(/^Return from the `use` first/)
    expect(hintOfBusy("outside")).toMatch(/^Leave out the session there/)
    for (const reason of ["use", "outside"] as const) expect(hintOfBusy(reason)).not.toMatch(/onBusy/)
  })

  const hintOf = (error: Partial<Errors.InvalidInTransaction>) =>
    new Errors.InvalidInTransaction({ operation: "find", option: "find", ...error }).hint
  it("of what a transaction does not allow: to set it on the transaction helps only where it is set there", () => {
    for (const option of ["readConcern", "writeConcern", "timeout"]) {
      expect(hintOf({ option })).toMatch(new RegExp(`^Set ${option} on the transaction`))
    }
    for (const option of ["find", "$out", "$merge", "$currentOp"]) {
      expect(hintOf({ option })).toMatch(/^Run it before or after the transaction.*`Transaction\.outside`\.$/)
    }
    expect(hintOf({ option: "readPreference" })).toMatch(/^Leave it out: .*primary/)
    expect(hintOf({ option: "isolation" })).toMatch(/leave `isolation` out\.$/)
  })

  it("of what a session or a sandbox does not allow: to step out of a transaction does not help", () => {
    expect(hintOf({ place: "session" })).toBe("Run it in no session, with `Session.detached`.")
    expect(hintOf({ place: "sandbox" })).toMatch(/always rolled back/)
    for (const place of ["session", "sandbox"] as const) {
      expect(hintOf({ place })).not.toMatch(/Transaction\.outside|before or after/)
    }
  })
})

describe("misuse", () => {
  const actedOn = [
    "CausalTokenRefused",
    "CommitUnknown",
    "CompensationFailed",
    "ConsumerReplaced",
    "DecodeFailed",
    "HandlingFailed",
    "InProgress",
    "KeyReused",
    "LeaseLost",
    "LeaseTaken",
    "MongoError",
    "SessionLapsed",
    "StepsDiverged",
    "StepsOutdated",
    "TransactionAborted",
    "TransactionDoomed"
  ]

  it.each(errors)("%s: is a mistake in the program unless a correct one meets it and acts on it", (error) => {
    expect(Errors.isMisuse(error)).toBe(!actedOn.includes(error._tag))
  })

  it("is an error of this library, not one that has its tag", () => {
    expect(Errors.isMisuse({ _tag: "SessionEnded", operation: "find", reason: "released" })).toBe(false)
    expect([undefined, null, "SessionEnded", new Error("SessionEnded")].some(Errors.isMisuse)).toBe(false)
  })

  it.effect.each(errors)(
    "%s: dies when it is misuse, and is failed with as it is otherwise",
    (error) =>
      Effect.gen(function*() {
        const cause = yield* Effect.fail(error).pipe(Errors.orDieOnMisuse, Effect.sandbox, Effect.flip)
        if (actedOn.includes(error._tag)) return expect(cause).toEqual(Cause.fail(error))
        const [defect] = Cause.defects(cause)
        expect(Cause.isFailure(cause)).toBe(false)
        expect(defect).toBeInstanceOf(error.constructor)
        expect(defect).toMatchObject({ ...error, _tag: error._tag })
      })
  )

  it.effect("dies with its hint, which loggers print", () =>
    Effect.gen(function*() {
      const error = new Errors.TransactionEnded({ operation: "find" })
      const cause = yield* Errors.orDieOnMisuse(Effect.fail(error)).pipe(Effect.sandbox, Effect.flip)
      expect(Cause.pretty(cause).split("\n")[0]).toBe(`TransactionEnded: ${error.message}. ${error.hint}`)
      expect(JSON.stringify(cause)).toContain(error.hint)
      expect(error.message).not.toContain(error.hint)
    }))

  it.effect("dies also beside another failure, which stays what it is", () =>
    Effect.gen(function*() {
      const cause = yield* Effect.failCause(Cause.parallel(
        Cause.fail(mongoError),
        Cause.fail(new Errors.SessionEnded({ operation: "find", reason: "released" }))
      )).pipe(Errors.orDieOnMisuse, Effect.sandbox, Effect.flip)
      expect([...Cause.failures(cause)]).toEqual([mongoError])
      expect([...Cause.defects(cause)]).toMatchObject([{ _tag: "SessionEnded" }])
    }))

  it.effect("leaves a success and the failures of the program alone", () =>
    Effect.gen(function*() {
      expect(yield* Errors.orDieOnMisuse(Effect.succeed(1))).toBe(1)
      expect(yield* Effect.flip(Errors.orDieOnMisuse(Effect.fail(taggedUserError)))).toBe(taggedUserError)
    }))
})

describe("an outcome of a transaction", () => {
  it("keeps the last failure as its cause, with its labels", () => {
    const aborted = new Errors.TransactionAborted({ ...times, last: mongoError })
    const unknown = new Errors.CommitUnknown({ ...times, last: mongoError })
    expect([aborted.cause, unknown.cause]).toEqual([mongoError, mongoError])
    expect([aborted.labels, unknown.labels]).toEqual([["TransientTransactionError"], ["TransientTransactionError"]])
    expect(new Errors.TransactionAborted({ ...times, last: leaky }).labels).toEqual([])
    expect(new Errors.TransactionDoomed({ first: leaky }).cause).toBe(leaky)
  })

  it("has no labels where the last failure has none, as a failure of the program", () => {
    const unlabelled = new MongoError({ reason: "ServerSelectionFailed", operation: "update", labels: [] })
    expect(new Errors.TransactionAborted({ ...times, last: unlabelled }).labels).toEqual([])
    expect(new Errors.CommitUnknown({ ...times, last: unlabelled }).labels).toEqual([])
    expect(new Errors.TransactionAborted({ ...times, last: { labels: ["TransientTransactionError"] } }).labels).toEqual(
      []
    )
  })

  it("tells who was given up inside another transaction that it may have waited for that one, and nobody else", () => {
    const hintOf = (nested?: boolean) => new Errors.TransactionAborted({ ...times, last: mongoError, nested }).hint
    const alone = hintOf()
    expect(alone).toMatch(/^Nothing was committed, so it may be run again;/)
    expect(alone).not.toMatch(/transaction around it/)
    expect(hintOf(false)).toBe(alone)
    expect(hintOf(true).startsWith(alone)).toBe(true)
    expect(hintOf(true)).toMatch(/the transaction around it .* the same documents, it could never have succeeded/)
    expect(hintOf(true)).toMatch(/Let it join \("required"\)/)
  })

  it("that was given up inside another transaction says so in nothing but the hint", () => {
    const [alone, nested] = [false, true].map((nested) =>
      new Errors.TransactionAborted({ ...times, last: mongoError, nested })
    )
    expect(nested?.message).toBe(alone?.message)
    expect(nested?.labels).toEqual(alone?.labels)
  })
})

describe("a failed decoding", () => {
  const secret = "ada@example.org"
  const decoders = {
    "@effect/schema": Schema.decodeUnknownEither(Schema.Struct({
      name: Schema.String,
      age: Schema.Int.pipe(Schema.positive()),
      since: Schema.Date,
      pay: Schema.Union(Schema.Struct({ card: Schema.NumberFromString }), Schema.Struct({ cash: Schema.Boolean })),
      tags: Schema.Record({ key: Schema.String, value: Schema.Number }),
      rank: Schema.String.pipe(Schema.filter((text) => `${text} is no rank`))
    })),
    "effect/Schema": EffectSchema.decodeUnknownEither(EffectSchema.Struct({
      name: EffectSchema.String,
      age: EffectSchema.Int.pipe(EffectSchema.positive()),
      since: EffectSchema.Date,
      pay: EffectSchema.Union(
        EffectSchema.Struct({ card: EffectSchema.NumberFromString }),
        EffectSchema.Struct({ cash: EffectSchema.Boolean })
      ),
      tags: EffectSchema.Record({ key: EffectSchema.String, value: EffectSchema.Number }),
      rank: EffectSchema.String.pipe(EffectSchema.filter((text) => `${text} is no rank`))
    }))
  }
  const unnamed = { age: 1, since: "2020-01-01", pay: { cash: true }, tags: {} }
  const good = { ...unnamed, name: "Ada" }

  const failures: ReadonlyArray<readonly [string, object, ReadonlyArray<string>, RegExp]> = [
    ["a wrong type", { ...good, name: { secret } }, ["name"], /^expected a string$/],
    ["a missing field", unnamed, ["name"], /^is missing$/],
    ["a refused number", { ...good, age: -4111 }, ["age"], /^expected a positive number$/],
    ["a refused inner type", { ...good, age: 4111.5 }, ["age"], /^expected an integer$/],
    ["a failed conversion", { ...good, pay: { card: secret } }, ["pay", "card"], /^expected /],
    ["no member of a union", { ...good, pay: secret }, ["pay"], /^expected .* or /],
    ["data used as a key", { ...good, tags: { [secret]: "x" } }, ["tags", "<key>"], /^expected a number$/],
    ["a filter that quotes the value", { ...good, rank: secret }, ["rank"], /^expected /]
  ]

  describe.each(Object.entries(decoders))("with %s", (_, decode) => {
    it.each(failures)("tells the place of %s, and not the value", (_, input, path, issue) => {
      const decoded = decode(input)
      if (decoded._tag === "Right") throw new Error("decoded")
      const error = Errors.DecodeFailed.fromParseError("shop.users", decoded.left, secret)
      expect(error.path).toEqual(path)
      expect(error.issue).toMatch(issue)
      expect(error.documentId).toBe(secret)
      expect(`${error.message} ${JSON.stringify(error)}`).not.toMatch(secrets)
    })
  })
})

describe("the hint of what does not decode", () => {
  const hintOf = (source: string) => new Errors.DecodeFailed({ source, path: [], issue: "is missing" }).hint

  it("speaks of stored data only where it was stored", () => {
    expect(hintOf("shop.users")).toMatch(/stored data/)
    expect(hintOf("change event of shop.users")).toMatch(/stored data/)
    for (const source of ["CausalToken", "ResumeToken", "SessionId", "reply of listSessions"]) {
      expect(hintOf(source)).not.toMatch(/stored/)
    }
    expect(hintOf("ResumeToken")).toMatch(/ResumeToken/)
  })

  it("speaks of the program's value where that was to be written", async () => {
    const codec = Codec.fromSchema(Schema.Struct({ name: Schema.NonEmptyString }))
    const refused = await Effect.runPromise(Effect.flip(codec.encode({ name: "" }, "shop.users")))
    expect(refused.hint).toMatch(/value/)
    expect(refused.hint).not.toMatch(/stored/)
  })

  it("says that a write has taken effect where it is what that has given", () => {
    const failure = new Errors.DecodeFailed({
      source: "shop.users",
      path: ["age"],
      issue: "is missing",
      isWritten: true
    })
    expect(failure.hint).toMatch(/^The write has taken effect; only the document that it gave could not be decoded\./)
    expect(failure.hint).toMatch(/stored data/)
    expect(failure.toJSON()).toMatchObject({ isWritten: true })
    expect(hintOf("shop.users")).not.toMatch(/taken effect/)
  })
})
