/**
 * The commands, and their options.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as Prompt from "@effect/cli/Prompt"
import * as ValidationError from "@effect/cli/ValidationError"
import * as MongoClient from "effect-mongo-session/MongoClient"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { isDatabase } from "./database.js"
import { type Failure, lineOf } from "./failures.js"
import { gather } from "./gather.js"
import { intervalOf } from "./interval.js"
import { kill, knownOf } from "./kill.js"
import type { Snapshot } from "./model.js"
import { ownName } from "./operations.js"
import { Unwritable, write } from "./output.js"
import { age } from "./render.js"
import * as Screen from "./screen.js"
import { again, choose, parse, type Target } from "./target.js"
import * as View from "./views.js"
import { watch as watching } from "./watch.js"

/**
 * What ends the program with one line, and its exit code: 1, 2 where it was called wrongly, 130 after Ctrl-C, or 141 without a
 * line where nobody reads any more.
 */
export class Failed extends Data.TaggedError("Failed")<{
  readonly line: string | undefined
  readonly code: 1 | 2 | 130 | 141
}> {
  override get message(): string {
    return this.line ?? ""
  }
}

const failed = (line: string, code: Failed["code"] = 1) => new Failed({ line, code })

// What a shell says of a program that SIGPIPE has ended, which Node.js ignores.
const unread = new Failed({ line: undefined, code: 141 })

const uri = Args.text({ name: "uri" }).pipe(
  Args.withDescription(
    "Where the servers are: mongodb://host:27017/. As env:NAME, the variable NAME has it, so that lists of processes don't show its secret."
  )
)

const json = Options.boolean("json").pipe(
  Options.withDescription("Prints JSON: one document, or one on each line with --watch.")
)

const database = Options.text("database").pipe(
  Options.repeated,
  Options.mapEffect((names) =>
    names.every(isDatabase)
      ? Effect.succeed(names)
      : Effect.fail(
        ValidationError.invalidValue(
          HelpDoc.p("--database takes the name of a database, without that of a collection: shop, not shop.orders")
        )
      )
  ),
  Options.withDescription(
    "Looks for outboxes, consumers, leases and keys in this database only. May be repeated. Default: in all."
  )
)

const every = Options.text("every").pipe(
  Options.mapEffect((text) =>
    Option.match(intervalOf(text), {
      onNone: () =>
        Effect.fail(
          ValidationError.invalidValue(HelpDoc.p("--every takes a time of at least 100ms, such as 500ms, 1s or 2m"))
        ),
      onSome: Effect.succeed
    })
  ),
  Options.optional,
  Options.withDescription("How often it looks again. Default: 1s.")
)

const watch = Options.boolean("watch").pipe(
  Options.withDescription("Looks again and again. Default: on a terminal, and with --every.")
)

const once = Options.boolean("once").pipe(Options.withDescription("Looks once, also on a terminal."))

// The URI is never shown: neither by a message nor by what a log prints of a value.
const connected = <A, E extends Failure, R>(given: string, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const name = given.startsWith("env:") ? given.slice("env:".length) : undefined
    const url = name === undefined ? given : process.env[name]
    if (url === undefined || url === "") return yield* failed(`the variable ${name ?? ""} is not set`, 2)
    const patience = /serverSelectionTimeoutMS=/i.test(url) ? {} : { serverSelectionTimeoutMS: 5000 }
    const client = yield* MongoClient.make({
      url: Redacted.make(url),
      keepAlive: false,
      // Nobody who presses Ctrl-C waits for a server that hangs.
      closeTimeout: "1 second",
      settleTimeout: "1 second",
      driver: { appName: ownName, readPreference: "primary", ...patience }
    })
    if ((yield* client.deployment).kind === "standalone") {
      return yield* failed("the server is standalone: it has no transactions. Start it as a replica set (--replSet)")
    }
    return yield* Effect.provideService(effect, MongoClient.MongoClient, client)
  }).pipe(
    Effect.scoped,
    Effect.mapError((error) =>
      error instanceof Failed
        ? error
        : error instanceof Unwritable && error.isUnread
        ? unread
        : failed(lineOf(error))
    )
  )

const inspect = Command.make(
  "inspect",
  { uri, json, watch, once, every, database },
  ({ database, every, json, once, uri, watch }) => {
    const isTerminal = process.stdout.isTTY === true
    const isAsked = watch || Option.isSome(every)
    if (once && isAsked) return failed("--once and --watch or --every exclude each other", 2)
    const isWatching = isAsked || (isTerminal && !json && !once)
    const inColour = Screen.hasColour(process.stdout, process.env)
    const look = (before: Snapshot | undefined) => gather({ databases: database }, before)
    const plain = json ? View.asJson(process.stdout) : View.asPicture(Screen.plain(process.stdout, inColour))
    if (!isWatching) return connected(uri, Effect.flatMap(look(undefined), plain.seen))
    const again = Effect.gen(function*() {
      const view = isTerminal && !json ? View.asPicture(yield* Screen.live(process.stdout, inColour)) : plain
      return yield* watching(look, view, Option.getOrElse(every, () => Duration.seconds(1)))
    })
    return connected(uri, Effect.scoped(again))
  }
).pipe(Command.withDescription("Shows sessions, transactions, outboxes, consumers, leases and keys."))

const target = Args.text({ name: "session" }).pipe(
  Args.withDescription(
    "The session's id, or its first 4 or more characters; with /number, only while that transaction is open."
  )
)

const yes = Options.boolean("yes").pipe(Options.withAlias("y"), Options.withDescription("Does not ask."))

const about = ({ session, transaction }: Target): string =>
  transaction === undefined
    ? `session ${session}, which has no transaction open`
    : `session ${session} with transaction ${transaction.number}, open for ${age(transaction.ageMs)}${
      [transaction.app, transaction.span, transaction.operation].filter((one) => one !== undefined).map((one) =>
        `, ${one}`
      ).join("")
    }`

const killing = Command.make("kill", { uri, target, yes, json }, ({ json, target, uri, yes }) => {
  const named = Either.getOrElse(parse(target), (line) => failed(line, 2))
  if (named instanceof Failed) return named
  if (!yes && (process.stdin.isTTY !== true || process.stdout.isTTY !== true)) {
    return failed("nobody can be asked here: add --yes", 2)
  }
  return connected(
    uri,
    Effect.gen(function*() {
      const chosen = yield* Effect.map(knownOf(named.start), (known) => choose(named, known))
      const shown = yield* Effect.mapError(chosen, (line) => failed(line))
      if (!yes) {
        const isWanted = yield* Effect.catchTag(
          Prompt.confirm({ message: `Kill ${about(shown)}?` }),
          "QuitException",
          () => failed("nothing was killed", 130)
        )
        if (!isWanted) return yield* failed("nothing was killed")
      }
      // Somebody may have taken a while to answer.
      const meant = again(named, shown, yield* knownOf(shown.session), !yes)
      const { session, transaction } = yield* Effect.mapError(meant, (line) => failed(line))
      const isKnown = yield* Effect.mapError(
        kill(session),
        (error) =>
          error._tag === "MongoError" && error.reason === "Unauthorized"
            ? failed("nothing was killed: the session is another user's, which needs the privilege killAnySession")
            : error
      )
      if (!isKnown) {
        return yield* failed(`the server does not know session ${session} any more: nothing was killed`)
      }
      const told = json
        ? JSON.stringify({ killed: { session, ...(transaction !== undefined && { transaction: transaction.number }) } })
        : `killed: ${about({ session, transaction })}`
      yield* write(process.stdout, `${told}\n`)
    })
  )
}).pipe(Command.withDescription("Kills the operations, cursors and the transaction of a session, after a question."))

/** The program. */
export const command = Command.make("effect-mongo-session").pipe(
  Command.withDescription("A window on the sessions and transactions of a MongoDB deployment."),
  Command.withSubcommands([inspect, killing])
)
