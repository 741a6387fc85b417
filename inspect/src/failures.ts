/**
 * What has gone wrong, in one line, without the URI.
 */
import * as MongoError from "effect-mongo-session/MongoError"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Option from "effect/Option"
import { textOf } from "./values.js"

/** Something that has gone wrong. */
export interface Failure {
  readonly _tag: string
  readonly message: string
}

/** The line. */
export const lineOf = (error: Failure): string => {
  if (!(error instanceof MongoError.MongoError)) return oneLine(error.message)
  switch (error.reason) {
    case "InvalidUrl":
    case "InvalidArgument":
      return "the URI is none that MongoDB knows: mongodb://host:27017/, or mongodb+srv://host/"
    case "ServerSelectionFailed":
      return "no server answers at the hosts of the URI"
    case "AuthenticationFailed":
      return "the server does not know this user, or this password"
    default:
      return oneLine(error.message)
  }
}

/** The line of what nobody has expected; none of a failure, or of what was interrupted. */
export const bugLineIn = (cause: Cause.Cause<unknown>): Option.Option<string> =>
  Cause.isFailure(cause) ? Option.none() : Option.map(Chunk.head(Cause.defects(cause)), bugLineOf)

// What it is called, and where it is. Its message may quote anything.
const bugLineOf = (defect: unknown): string => {
  if (!(defect instanceof Error)) return `this is a bug of the program: ${typeof defect}`
  // A stack begins with the message.
  const { message, stack = "" } = defect
  const at = stack.indexOf(message)
  // One that was changed since is not known to be there.
  const [, place] = at < 0 ? [] : /\n\s+at ([^\n]+)/.exec(stack.slice(at + message.length)) ?? []
  return `this is a bug of the program: ${oneLine(defect.name)}${place === undefined ? "" : ` at ${oneLine(place)}`}`
}

// Names of databases are in it, which may have any characters.
const oneLine = (message: string): string => textOf(message.replace(/\s*\n\s*/g, " ")) ?? ""
