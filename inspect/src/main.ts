#!/usr/bin/env node
/**
 * Runs the program, and says how it has ended: 0, 1 for what has failed, 2 where it was called wrongly, 130 after Ctrl-C, 141 where
 * nobody reads any more, 143 after SIGTERM.
 */
import * as Command from "@effect/cli/Command"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { createRequire } from "node:module"
import { constants } from "node:os"
import { command, Failed } from "./cli.js"
import { bugLineIn } from "./failures.js"
import { write } from "./output.js"
import { hasColour } from "./screen.js"

const { version } = createRequire(import.meta.url)("../package.json") as { readonly version: string }

// What the parser prints may quote arguments, of which one is a URI; and it is in colours, wherever it goes.
const shown = (output: NodeJS.WriteStream, values: ReadonlyArray<unknown>): Effect.Effect<void> => {
  const text = values.map(String).join(" ").replace(/(mongodb(?:\+srv)?:\/\/)\S*/gi, "$1…")
  return Effect.ignore(
    // eslint-disable-next-line no-control-regex -- these are what is taken out
    write(output, `${hasColour(output, process.env) ? text : text.replace(/\u001b\[[\d;]*m/g, "")}\n`)
  )
}

const quiet = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.consoleWith((console) =>
    Effect.withConsole(effect, {
      ...console,
      log: (...values) => shown(process.stdout, values),
      error: (...values) => shown(process.stderr, values)
    })
  )

// None where the parser has said what is wrong with the call, and where nobody reads any more.
const lineIn = (cause: Cause.Cause<unknown>): Option.Option<string> => {
  const error = Cause.squash(cause)
  return error instanceof Failed ? Option.fromNullable(error.line) : bugLineIn(cause)
}

// Who writes is told by the write itself. Without a listener, Node.js ends with a stack.
for (const output of [process.stdout, process.stderr]) output.on("error", () => undefined)

let isTerminated = false
process.once("SIGTERM", () => {
  isTerminated = true
})

const codeOf = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit)) return 0
  // What a shell says of a program that a signal has ended: 128, and the number of the signal.
  if (Cause.isInterruptedOnly(exit.cause)) {
    return 128 + (isTerminated ? constants.signals.SIGTERM : constants.signals.SIGINT)
  }
  const error = Cause.squash(exit.cause)
  return error instanceof Failed ? error.code : ValidationError.isValidationError(error) ? 2 : 1
}

Command.run(command, { name: "effect-mongo-session", version })(process.argv).pipe(
  Effect.tapErrorCause((cause) =>
    Option.match(lineIn(cause), {
      onNone: () => Effect.void,
      onSome: (line) => Effect.ignore(write(process.stderr, `effect-mongo-session: ${line}\n`))
    })
  ),
  quiet,
  Effect.provide(NodeContext.layer),
  (main) =>
    NodeRuntime.runMain(main, {
      disableErrorReporting: true,
      teardown: (exit, onExit) => onExit(codeOf(exit))
    })
)
