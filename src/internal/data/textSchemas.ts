/**
 * Schemas of this library's own values that go out as text, made for each of the two packages of schemas.
 */
import * as Either from "effect/Either"
import type * as ParseResult from "effect/ParseResult"
import type * as Schema from "effect/Schema"
import * as CausalToken from "../../CausalToken.js"
import * as ResumeToken from "../../ResumeToken.js"
import type { DecodeFailed } from "../../SessionErrors.js"
import { SessionId } from "../../SessionId.js"

/** What is used of a package of schemas. */
export interface Package {
  readonly S: Pick<typeof Schema, "String" | "declare" | "transformOrFail">
  readonly P: Pick<typeof ParseResult, "Type" | "succeed">
}

/** What a value has to do with its text. */
interface Texts<A> {
  readonly is: (value: unknown) => value is A
  readonly encode: (value: A) => string
  readonly decode: (text: string) => Either.Either<A, DecodeFailed>
}

const descriptions = {
  CausalToken: ["a causal token", "an encoded causal token"],
  ResumeToken: ["a resume token", "an encoded resume token"],
  SessionId: ["a session id", "a UUID of 36 characters"]
} as const

const make = <A>(
  { P, S }: Package,
  identifier: keyof typeof descriptions,
  { decode, encode, is }: Texts<A>
): Schema.Schema<A, string> => {
  const [value, text] = descriptions[identifier]
  return S.transformOrFail(
    S.String,
    S.declare(is, { description: value, pretty: () => identifier === "SessionId" ? encode : String }),
    {
      strict: true,
      decode: (text, _, ast) => Either.mapLeft(decode(text), () => new P.Type(ast, text)),
      encode: (value) => P.succeed(encode(value))
    }
  ).annotations({ identifier, description: text })
}

/** Causal tokens as text, signed or not. */
export const causalToken = (
  packaged: Package,
  { decode, encode }: Omit<Texts<CausalToken.CausalToken>, "is">
): Schema.Schema<CausalToken.CausalToken, string> =>
  make(packaged, "CausalToken", {
    is: (value): value is CausalToken.CausalToken => value instanceof CausalToken.CausalToken,
    encode,
    decode
  })

/** Resume tokens as text. */
export const resumeToken = (packaged: Package): Schema.Schema<ResumeToken.ResumeToken, string> =>
  make(packaged, "ResumeToken", {
    is: (value): value is ResumeToken.ResumeToken => value instanceof ResumeToken.ResumeToken,
    encode: ResumeToken.encode,
    decode: ResumeToken.decode
  })

/** Session ids as text. */
export const sessionId = (packaged: Package): Schema.Schema<SessionId, string> =>
  make(packaged, "SessionId", {
    is: (value): value is SessionId => value instanceof SessionId,
    encode: ({ uuid }) => uuid,
    decode: (uuid) => SessionId.fromString(uuid)
  })
