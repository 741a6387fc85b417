/**
 * Why a value cannot be sent, and where in a document it is.
 */
import * as Either from "effect/Either"
import { MongoError } from "../../MongoError.js"
import type { SessionMisconfigured } from "../../SessionErrors.js"
import { invalid } from "../driver/errors.js"
import { formatIssue, nameless, nameOfKey } from "../values/issues.js"

/** Why a value cannot be sent, and where it is. Without the value, which is nobody's but the caller's. */
export class Refused {
  readonly why: string
  // From the value outwards: each level adds its own key when it gives the refusal on.
  readonly #keys: Array<string | number> = []
  constructor(why: string) {
    this.why = why
  }

  /** The same, seen from one level above. */
  below(key: string | number): this {
    this.#keys.push(key)
    return this
  }

  /** The keys from the document to the value, without those that may be data themselves. */
  get path(): string {
    return this.#keys.toReversed().map((key) => typeof key === "number" ? key : shown(key)).join(".")
  }
}

/** A document or a command of more bytes than the server takes. */
export class TooLarge extends Refused {
  constructor(size: number) {
    super(`It has ${size} bytes of BSON`)
  }
}

/** Runs what reads a caller's values, and turns what it refuses, or what they throw, into a failure of the operation. */
export const guarded = <A>(
  operation: string,
  namespace: string,
  evaluate: () => A | Refused
): A | MongoError => {
  const failed = (rest: Pick<MongoError, "reason"> & { readonly cause?: unknown; readonly hint?: string }) =>
    new MongoError({ operation, namespace, labels: [], ...rest })
  try {
    const found = evaluate()
    if (!(found instanceof Refused)) return found
    return found instanceof TooLarge
      ? failed({ reason: "DocumentTooLarge", hint: `${found.why}. Nothing was sent.` })
      : failed({ reason: "EncodingFailed", hint: `${named(found.path)} is ${found.why}. Nothing was sent.` })
  } catch (cause) {
    // A getter or `toBSON` of the caller's has thrown, as it would when the value is encoded.
    return failed({ reason: "EncodingFailed", cause })
  }
}

/** The failure of an operation on what has such a problem with its name. Without the name, which may be a secret. */
export const misnamedBy = (problem: string | undefined, operation: string): MongoError | undefined =>
  problem === undefined
    ? undefined
    : invalid(operation, problem)

/** The options of an operation as they were decoded, or its failure with all that is wrong with them. */
export const misconfiguredBy = <A>(
  decoded: Either.Either<A, SessionMisconfigured>,
  operation: string
): Either.Either<A, MongoError> =>
  Either.mapLeft(
    decoded,
    ({ issues }) => invalid(operation, `${issues.map(formatIssue).join("; ")}.`)
  )

// In characters: a path of 200 levels is none to be read.
const longestPath = 200

const named = (path: string): string =>
  path === "" ? "A document" : `\`${path.length <= longestPath ? path : `${path.slice(0, longestPath)}…`}\``

// A filter names the fields of documents in documents by one key. Where one part of it may be data, the others may be, too.
const shown = (key: string): string => {
  const names = key.split(".").map(nameOfKey)
  return names.includes(nameless) ? nameless : names.join(".")
}
