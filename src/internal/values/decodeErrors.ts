/**
 * The classes of the errors of what comes from elsewhere: documents, replies and tokens that are not what they should be.
 */
import type * as ParseResult from "@effect/schema/ParseResult"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import type * as EffectParseResult from "effect/ParseResult"
import { formatIssue, issuesOf } from "./issues.js"
import { render } from "./render.js"

/**
 * A document, a reply or a token is not what its schema says.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Collection } from "effect-mongo-session"
 *
 * const Users = Collection.make("users", { schema: Schema.Struct({ _id: Schema.String, name: Schema.String }) })
 *
 * export const find = (_id: string) =>
 *   Users.findById(_id).pipe(
 *     Effect.tapErrorTag("DecodeFailed", ({ documentId, issue, path }) =>
 *       Effect.logError(`${documentId}: ${path.join(".")} ${issue}`))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class DecodeFailed extends Data.TaggedError("DecodeFailed")<{
  /** What was decoded, e.g. `CausalToken`, `shop.users`, `reply of refreshSessions`. */
  readonly source: string
  /** The document's `_id` as text. Part of the message only if it is an ObjectId or a UUID, which tell nothing. */
  readonly documentId?: string | undefined
  /** Keys from the root to the place; empty for the whole. */
  readonly path: ReadonlyArray<string>
  /** What was expected there, without the value that was found. */
  readonly issue: string
  /** Whether it is a value of the program, which was to be written. Default `false`: it came from elsewhere. */
  readonly isOwnValue?: boolean | undefined
  /**
   * Whether it is the document that a write has given, as `findOneAndUpdate` does. The write has taken effect: in a transaction,
   * if that commits. Default `false`.
   */
  readonly isWritten?: boolean | undefined
}> {
  /** The first issue of a failed decoding, or encoding, with `@effect/schema` or `effect/Schema`. */
  static fromParseError(
    source: string,
    error: ParseResult.ParseError | EffectParseResult.ParseError,
    documentId?: string,
    isOwnValue?: boolean
  ): DecodeFailed {
    const issue = issuesOf(error)[0] ?? { path: [], message: "does not match the schema" }
    return new DecodeFailed({ source, documentId, path: issue.path, issue: issue.message, isOwnValue })
  }
  override get message(): string {
    const document = this.documentId !== undefined && isOpaqueId(this.documentId) ? `, document ${this.documentId}` : ""
    return `${this.source}${document}: ${formatIssue({ path: this.path, message: this.issue })}`
  }
  get hint(): string {
    if (this.isOwnValue === true) {
      return "Correct the value, or widen the schema so that it covers what the program writes. The value was not sent."
    }
    const hint = hintOfSource(this.source)
    return this.isWritten === true
      ? "The write has taken effect; only the document that it gave could not be decoded. In a transaction it takes effect " +
        `with the commit. ${hint}`
      : hint
  }
  override toJSON(): object {
    return render(this, { source: this.source, path: this.path, issue: this.issue, isWritten: this.isWritten })
  }
}

/**
 * A causal token lies further ahead of this machine's clock than is allowed. Found before any IO; the session is as it was.
 *
 * A token of a genuine session lies ahead only as far as clocks differ. One that was made up could move the cluster time of a
 * server without access control, and hold reads until their time limit.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { type CausalToken, Session } from "effect-mongo-session"
 *
 * // The clock of another process is wrong, or the token is forged.
 * export const advance = (token: CausalToken.CausalToken) =>
 *   Effect.flatMap(Session.Session, (session) => session.advanceTo(token)).pipe(
 *     Effect.catchTag("CausalTokenRefused", ({ ahead }) => Effect.logWarning("too far ahead:", ahead))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class CausalTokenRefused extends Data.TaggedError("CausalTokenRefused")<{
  /** How far it lies ahead of this machine's clock. */
  readonly ahead: Duration.Duration
  /** How far it may. */
  readonly maxAhead: Duration.Duration
}> {
  override get message(): string {
    return `the causal token is ${Duration.format(this.ahead)} ahead of this machine's clock, of ` +
      `${Duration.format(this.maxAhead)} allowed`
  }
  get hint(): string {
    return "Refuse the request that brought it, and sign tokens that strangers may send (`CausalToken.signed`). If the token " +
      "is genuine, correct the clocks of this machine and of the servers, or raise `maxAhead`."
  }
  override toJSON(): object {
    return render(this, { ahead: this.ahead, maxAhead: this.maxAhead })
  }
}

// Not all that is decoded is stored.
const hintOfSource = (source: string): string =>
  source === "CausalToken" || source === "ResumeToken"
    ? `Pass the text on as the ${source} module encoded it, signed if it is decoded as signed. What a client sent may be ` +
      "damaged or made up: refuse its request."
    : source === "SessionId"
    ? "Pass a UUID as `SessionId` shows it: 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12."
    : source.startsWith("reply of ")
    ? "The server answered in a form that this library does not know: check which versions of MongoDB it supports."
    : "Correct the stored data, or widen the schema so that it covers what is stored."

const isOpaqueId = (id: string): boolean =>
  /^[0-9a-f]{24}$/i.test(id) || /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)
