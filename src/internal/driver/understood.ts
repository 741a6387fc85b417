/**
 * Tells the driver's failures to understand a reply from bugs in the program: the driver reads replies as if they were what
 * they should be, and throws a TypeError where one is not.
 */
import * as Either from "effect/Either"
import * as Driver from "mongodb"

/**
 * Runs what gives values, and no code, to the driver. What the driver itself throws without a mark of its own becomes its error
 * for unexpected replies. What anything else throws stays as it is.
 */
export const understood = <A>(evaluate: () => PromiseLike<A>): PromiseLike<A> => {
  try {
    return evaluate().then(undefined, (error: unknown) => {
      throw marked(error)
    })
  } catch (error) {
    throw marked(error)
  }
}

const marked = (error: unknown): unknown =>
  error instanceof TypeError && isOfDriver(innermost(error.stack))
    ? new Driver.MongoUnexpectedServerResponseError("a reply could not be understood", { cause: error })
    : error

// A bug in what a program has given to the driver, as a listener, is told apart where the error says what has thrown. Where it
// does not, as without stacks or in a program that was bundled into one file, a reply is by far the likelier cause.
const isOfDriver = (thrower: string): boolean => home === undefined || thrower === "" || thrower.includes(home)

// The function that has thrown, or that has called one of the language's own that has.
const innermost = (stack: unknown): string => /^\s+at (?!.*<anonymous>\)$).*$/m.exec(String(stack))?.[0] ?? ""

// What the driver itself throws tells the folder that it is in.
const refusal = Either.flip(
  Either.try({ try: () => Driver.ReadPreference.fromString("none"), catch: (error) => error })
)
const home = Either.isRight(refusal) && refusal.right instanceof Error
  ? /\(((?:.*[\\/])(?:lib|src)[\\/])read_preference\.[jt]s:\d+:\d+\)/.exec(innermost(refusal.right.stack))?.[1]
  : undefined
