/**
 * Tells the driver's failures to understand a reply from bugs in the program: the driver reads replies as if they were what
 * they should be, and throws a TypeError where one is not, or a SyntaxError at a regular expression that is none of JavaScript's.
 */
import * as Either from "effect/Either"
import * as Driver from "mongodb"
import { isBsonError } from "./errors.js"
import { hint } from "./hints.js"

/**
 * The driver's error for unexpected replies, where the driver itself has thrown an error without a mark of its own; any other error
 * as it is. To be asked of what has run with values alone, and with no code of the caller.
 */
export const marked = (error: unknown): unknown =>
  error instanceof TypeError && isOfDriver(thrower(error))
    ? new Driver.MongoUnexpectedServerResponseError("a reply could not be understood", { cause: error })
    : error instanceof SyntaxError && thrower(error) === ""
    ? unreadable(error)
    : error

// A bug in what a program has given to the driver, as a listener, is told apart where the error says what has thrown. Where it
// does not, as without stacks or in a program that was bundled into one file, a reply is by far the likelier cause.
const isOfDriver = (frame: string): boolean => {
  const { home } = places()
  return home === undefined || frame === "" || frame.includes(home)
}

/**
 * The error of BSON that an error stands for where a stored regular expression could not be parsed; any other error as it is.
 * The server knows more patterns than JavaScript does, such as `(?i)a`.
 */
export const readable = (error: unknown): unknown => {
  if (!(error instanceof SyntaxError)) return error
  const { parser } = places()
  return parser !== "" && placeOf(thrower(error)) === parser ? unreadable(error) : error
}

const unreadable = (cause: SyntaxError): Error =>
  Object.assign(new Driver.BSON.BSONError("a regular expression could not be parsed", { cause }), {
    [hint]: "A regular expression that is stored is none of JavaScript's. With the option `bsonRegExp: true` of the " +
      "client or the operation it is read as a `BSONRegExp`."
  })

/**
 * Whether an error is that of BSON about a reply: what it is about was done all the same. Where the stack does not show that BSON was
 * being read, something of the program's own was being made or written.
 */
export const isOfReply = (error: unknown): boolean =>
  isBsonError(error) &&
  (hint in error || /^\s+at (?:\w+\.)?(?:(?:internalD|d)eserialize\w*|parseToElements)\b/m.test(framesOf(error)))

// The function that has thrown, or that has called one of the language's own that has.
const thrower = (error: Error): string => /^\s+at (?!.*<anonymous>\)$).*$/m.exec(framesOf(error))?.[0] ?? ""

// The message comes first, and may quote what is stored.
const framesOf = ({ message, stack }: Error): string => {
  const text = String(stack)
  const from = text.indexOf(message)
  return from < 0 ? text : text.slice(from + message.length)
}

const placeOf = (frame: string): string => frame.slice(frame.indexOf("(") + 1)

const thrownBy = (evaluate: () => unknown): string =>
  Either.match(Either.try({ try: evaluate, catch: (error) => error }), {
    onLeft: (error) => error instanceof Error ? thrower(error) : "",
    onRight: () => ""
  })

// Made when they are first asked for, which in most programs is never.
let known: { readonly home: string | undefined; readonly parser: string } | undefined

const places = () =>
  known ??= {
    // What the driver itself throws tells the folder that it is in.
    home: /\(((?:.*[\\/])(?:lib|src)[\\/])read_preference\.[jt]s:\d+:\d+\)/.exec(
      thrownBy(() => Driver.ReadPreference.fromString("none"))
    )?.[1],
    // The place in BSON's code where it makes a RegExp.
    parser: placeOf(
      thrownBy(() => Driver.BSON.deserialize(Driver.BSON.serialize({ expression: new Driver.BSONRegExp("(") })))
    )
  }
