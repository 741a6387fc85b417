/**
 * The options of a client that are this library's own, decoded.
 */
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import { SessionMisconfigured } from "../../SessionErrors.js"
import type * as SessionKeeper from "../../SessionKeeper.js"
import type * as TransactionOptions from "../../TransactionOptions.js"
import type * as Commands from "../telemetry/commands.js"
import type { Issue } from "../values/issues.js"
import * as Names from "../values/names.js"
import { below, decoder, duration, type Rules } from "../values/options.js"
import * as Transactions from "../values/transactionOptions.js"
import type { Inner } from "./client.js"

/** The options that a client has, with every default filled in. */
export interface Settings {
  readonly database: string | undefined
  readonly keepAlive: SessionKeeper.Options | false
  readonly closeTimeout: Duration.Duration
  readonly settleTimeout: Duration.Duration
  readonly timeout: Duration.Duration | undefined
  readonly transactions: TransactionOptions.Decoded | undefined
  readonly telemetry: Commands.Settings & {
    /** Whether operations carry the span that they are in as their comment. */
    readonly comments: boolean
  }
  readonly conflicts: Inner["conflicts"]
}

const schedule = Schema.declare((input: unknown): input is Schedule.Schedule<unknown> => Schedule.isSchedule(input), {
  description: "a schedule"
})

const common = {
  database: Schema.optional(Names.Database),
  closeTimeout: Schema.optional(duration()),
  settleTimeout: Schema.optional(duration()),
  timeout: Schema.optional(duration()),
  transactions: Schema.optional(Transactions.fields),
  telemetry: Schema.optional(
    Schema.Struct({
      commands: Schema.optional(Schema.Boolean),
      comments: Schema.optional(Schema.Boolean),
      queryTextLength: Schema.optional(Schema.Int.pipe(Schema.nonNegative()))
    })
      .annotations({ description: "{ commands, comments, queryTextLength }" })
  ),
  conflicts: Schema.optional(
    Schema.Struct({ values: Schema.optional(Schema.Boolean), server: Schema.optional(Schema.Boolean) })
      .annotations({ description: "{ values, server }" })
  ),
  keepAlive: Schema.optional(
    Schema.Union(
      Schema.Literal(false),
      Schema.Struct({
        schedule: Schema.optional(schedule),
        idleFor: Schema.optional(duration()),
        retry: Schema.optional(schedule)
      })
    ).annotations({ description: "false, or { schedule, idleFor, retry }" })
  )
}

const rules: Rules = ({ telemetry, transactions }) => [
  ...(Predicate.isRecord(transactions) ? below("transactions", Transactions.rules(transactions)) : []),
  ...(Predicate.isRecord(telemetry) && Number(telemetry["queryTextLength"]) > 0 && telemetry["commands"] !== true
    ? [{
      path: ["telemetry", "queryTextLength"],
      message: "needs `commands: true`: the text is told in the spans of commands"
    }]
    : [])
]

const ofOwn = decoder(Schema.Struct(common).annotations({ description: "an object of client options" }), rules)

// What they say is looked at when a client is made of them.
const isUrl = Redacted.isRedacted as (value: unknown) => value is Redacted.Redacted
const isOfDriver = Predicate.isRecord as (value: unknown) => value is Driver.MongoClientOptions

const ofUrl = decoder(
  Schema.Struct({
    ...common,
    url: Schema.declare(isUrl, { description: "a connection string, redacted" }),
    driver: Schema.optional(Schema.declare(isOfDriver, { description: "an object of the driver's options" }))
  }).annotations({ description: "an object of client options" }),
  rules
)

/** What a client is made of where this library makes it. */
export interface Connection {
  readonly url: Redacted.Redacted
  readonly driver: Driver.MongoClientOptions
  readonly settings: Settings
}

/**
 * Decodes the options of a client that this library makes. Fails with `InvalidOptions`, which names everything that is wrong
 * with them, unknown keys too.
 */
export const decode = (options: unknown): Either.Either<Connection, MongoError> =>
  Either.mapBoth(ofUrl(options), {
    onLeft: misconfigured,
    onRight: ({ driver = {}, url, ...own }) => ({ url, driver, settings: settingsOf(own) })
  })

/** Decodes the options of a client that the caller makes. Fails as {@link decode} does. */
export const decodeOwn = (options: unknown): Either.Either<Settings, MongoError> =>
  Either.mapBoth(ofOwn(options), { onLeft: misconfigured, onRight: settingsOf })

const misconfigured = (cause: SessionMisconfigured): MongoError =>
  new MongoError({ reason: "InvalidOptions", operation: `MongoClient (${listed(cause.issues)})`, labels: [], cause })

const settingsOf = (
  {
    closeTimeout = Duration.seconds(10),
    conflicts,
    database,
    keepAlive = {},
    settleTimeout = Duration.seconds(30),
    telemetry,
    timeout,
    transactions
  }: Schema.Struct.Type<typeof common>
): Settings => ({
  database,
  keepAlive,
  closeTimeout,
  settleTimeout,
  timeout,
  transactions: transactions && Transactions.normalize(transactions),
  telemetry: {
    commands: telemetry?.commands ?? false,
    comments: telemetry?.comments ?? false,
    queryTextLength: telemetry?.queryTextLength ?? 0
  },
  conflicts: { values: conflicts?.values ?? false, server: conflicts?.server ?? true }
})

/** Fails with `InvalidOptions` where spans of commands are asked for, and the caller's own client tells of no commands. */
export const ensureMonitored = (
  { options }: Driver.MongoClient,
  { telemetry }: Settings
): Effect.Effect<void, MongoError> =>
  telemetry.commands && !options.monitorCommands
    ? misconfigured(new SessionMisconfigured({ issues: [unmonitored] }))
    : Effect.void

const unmonitored: Issue = {
  path: ["telemetry", "commands"],
  message: "needs a client of the driver that was made with `monitorCommands: true`"
}

// Options of which the same is to be said, together.
const listed = (issues: ReadonlyArray<Issue>): string => {
  const alike = Arr.groupBy(issues, ({ message }) => message)
  return Object.entries(alike).map(([message, of]) =>
    `${of.map(({ path }) => path.join(".") || "options").join(", ")}: ${message}`
  ).join("; ")
}
