/**
 * Which failures can be declared as answers: those that the program has made.
 */
import { MongoError } from "../../MongoError.js"
import * as SessionErrors from "../../SessionErrors.js"

/**
 * Whether it is an error of this library. It says that something went wrong on the way, and fits many a schema; as an answer it
 * would be given for ever.
 */
export const isOfLibrary = (error: unknown): boolean =>
  error instanceof MongoError ||
  error instanceof Error && Object.values<unknown>(SessionErrors).includes(error.constructor)
