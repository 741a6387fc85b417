/**
 * What has gone wrong, in one line, without the URI.
 */
import * as MongoError from "effect-mongo-session/MongoError"

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

const oneLine = (message: string): string => message.replace(/\s*\n\s*/g, " ")
