/**
 * The server's fail point `failCommand` as a scoped resource: commands fail as asked while the scope is open, and no
 * longer.
 *
 * The server must have test commands enabled, as every server of `testing/MongoServer` has; see its feature
 * `failCommand`. A server has one such fail point: a second one takes the place of the first.
 *
 * Source: MongoDB's specification "Transactions", "Server Fail Point".
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import { giveUpAfter } from "../internal/time/bounded.js"
import { readable } from "../internal/values/options.js"
import { live } from "./internal/live.js"

/**
 * What is needed of a client: the driver's `MongoClient` has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly db: (name: string) => {
    readonly command: (command: { readonly [field: string]: unknown }) => Promise<unknown>
  }
}

/**
 * Which commands fail, how, and how often.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** The names of the commands. */
  readonly failCommands: ReadonlyArray<string>
  /** How often: until the scope closes, the next `times`, or all but the next `skip`. Default `{ times: 1 }`. */
  readonly mode?: "alwaysOn" | { readonly times: number } | { readonly skip: number } | undefined
  /** The error code to fail with; the command is not executed. Default: none. */
  readonly errorCode?: number | undefined
  /** The labels of the error; an empty list also keeps the server from adding its own. Default: the server's own. */
  readonly errorLabels?: ReadonlyArray<string> | undefined
  /** Whether the connection is closed instead of an answer. Default `false`. */
  readonly closeConnection?: boolean | undefined
  /** How long the command waits before it goes on or fails. Default: not at all. */
  readonly blockFor?: Duration.DurationInput | undefined
  /** A write concern error for commands that are executed. Default: none. */
  readonly writeConcernError?: { readonly code: number; readonly [field: string]: unknown } | undefined
  /** Only commands from clients with this `appName` fail. Default: from all. */
  readonly appName?: string | undefined
}

/**
 * The server did not set the fail point.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { MongoClient } from "effect-mongo-session"
 * import * as FailPoint from "effect-mongo-session/testing/FailPoint"
 *
 * export const program = Effect.flatMap(MongoClient.MongoClient, ({ driver }) =>
 *   FailPoint.failCommand(driver, { failCommands: ["insert"], errorCode: 112 })).pipe(
 *     Effect.catchTag("FailPointFailed", ({ hint }) => Effect.logWarning(`skipped: ${hint}`))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class FailPointFailed extends Data.TaggedError("FailPointFailed")<{
  /** The server's error code, where the server answered. */
  readonly code?: number | undefined
  /** What to do about it. */
  readonly hint: string
  /** The driver's error. */
  readonly cause: unknown
}> {
  override get message(): string {
    const code = this.code === undefined ? "" : ` (code ${this.code})`
    return `the fail point could not be set${code}: ${this.hint}`
  }
}

/**
 * Makes commands fail until the scope closes, also when that happens by interruption.
 *
 * Fails with `FailPointFailed` where the server has no test commands, does not understand the options, or gives no answer
 * within 10 seconds. A fail point whose answer was lost is switched off with the scope, too.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, MongoClient, Transaction } from "effect-mongo-session"
 * import * as FailPoint from "effect-mongo-session/testing/FailPoint"
 *
 * // The first two commits lose their connection.
 * export const test = Effect.scoped(Effect.gen(function*() {
 *   const { driver } = yield* MongoClient.MongoClient
 *   yield* FailPoint.failCommand(driver, { failCommands: ["commitTransaction"], closeConnection: true, mode: { times: 2 } })
 *   return yield* Collection.make("users").insertOne({ name: "Ada" }).pipe(Transaction.run())
 * }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const failCommand = (client: Client, options: Options): Effect.Effect<void, FailPointFailed, Scope.Scope> =>
  Effect.flatMap(commandOf(options), (command) =>
    Effect.acquireRelease(
      Effect.either(configure(client, command)),
      (outcome) =>
        isRefused(outcome) ? Effect.void : configure(client, off).pipe(
          Effect.catchAll((error) => Effect.logWarning("A fail point may still be set", error))
        )
    ).pipe(Effect.flatten))

// A server whose answer is lost may have set the fail point all the same.
const isRefused = Either.match({ onLeft: ({ code }: FailPointFailed) => code !== undefined, onRight: () => false })

/**
 * Makes commands fail while the effect runs.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, MongoClient } from "effect-mongo-session"
 * import * as FailPoint from "effect-mongo-session/testing/FailPoint"
 *
 * export const test = Effect.flatMap(MongoClient.MongoClient, ({ driver }) =>
 *   Collection.make("users").insertOne({ name: "Ada" }).pipe(
 *     FailPoint.during(driver, { failCommands: ["insert"], blockFor: "50 millis" }),
 *     Effect.timed
 *   ))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const during = (client: Client, options: Options) =>
<A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | FailPointFailed, Exclude<R, Scope.Scope>> =>
  Effect.scoped(Effect.zipRight(failCommand(client, options), effect))

type Command = Parameters<ReturnType<Client["db"]>["command"]>[0]

const off: Command = { configureFailPoint: "failCommand", mode: "off" }

const commandOf = (options: Options): Effect.Effect<Command, FailPointFailed> =>
  Effect.mapError(
    Effect.flatMap(readable(options), (given) =>
      Effect.try(() => {
        // Without any, the server would set one that never meets a command.
        if (!Array.isArray(given?.failCommands)) throw new TypeError("there are no names of commands")
        return toCommand(given)
      })),
    (cause) => new FailPointFailed({ hint: "give an object of options, with `failCommands`", cause })
  )

const toCommand = (options: Options): Command => ({
  configureFailPoint: "failCommand",
  mode: options.mode ?? { times: 1 },
  data: {
    failCommands: options.failCommands,
    ...(options.errorCode === undefined ? {} : { errorCode: options.errorCode }),
    ...(options.errorLabels === undefined ? {} : { errorLabels: options.errorLabels }),
    ...(options.closeConnection === undefined ? {} : { closeConnection: options.closeConnection }),
    ...(options.blockFor === undefined ? {} : blocking(options.blockFor)),
    ...(options.writeConcernError === undefined ? {} : { writeConcernError: options.writeConcernError }),
    ...(options.appName === undefined ? {} : { appName: options.appName })
  }
})

// the server counts whole milliseconds; an instant of waiting asked for must not become none
const blocking = (time: Duration.DurationInput) => ({
  blockConnection: true,
  blockTimeMS: Math.ceil(Duration.toMillis(time))
})

const limit = Duration.seconds(10)

// Bounded also where nothing can be interrupted, as it is when a scope opens or closes.
const configure = (client: Client, command: Command): Effect.Effect<void, FailPointFailed> =>
  giveUpAfter(
    limit,
    Effect.tryPromise({
      try: () => client.db("admin").command(command),
      catch: (cause) => {
        const code = codeOf(cause)
        return new FailPointFailed({ code, hint: hints.get(code) ?? "see the cause", cause })
      }
    }),
    () => new FailPointFailed({ hint: "there was no answer within 10 seconds", cause: undefined })
  ).pipe(Effect.asVoid, live)

const codeOf = (cause: unknown): number | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "number" ? cause.code : undefined

const hints: ReadonlyMap<number | undefined, string> = new Map([
  [59, "start the server with test commands enabled (`--setParameter enableTestCommands=1`)"],
  [13, "use a client whose user has the role `root`"]
])
