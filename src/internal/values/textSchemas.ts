/**
 * Schemas of this library's own values that go out as text, made for each of the two packages of schemas.
 */
import * as OldParseResult from "@effect/schema/ParseResult"
import * as OldSchema from "@effect/schema/Schema"
import * as Either from "effect/Either"
import type * as ParseResult from "effect/ParseResult"
import type * as Schema from "effect/Schema"
import type { DecodeFailed } from "../../SessionErrors.js"

/** What is used of a package of schemas. */
interface Package {
  readonly S: Pick<typeof Schema, "String" | "declare" | "transformOrFail">
  readonly P: Pick<typeof ParseResult, "Type" | "succeed">
}

/** What a value has to do with its text. */
interface Texts<A> {
  readonly is: (value: unknown) => value is A
  readonly encode: (value: A) => string
  readonly decode: (text: string) => Either.Either<A, DecodeFailed>
}

/** Which values, and their texts. */
export type Of<A> = readonly [identifier: keyof typeof descriptions, texts: Texts<A>]

const descriptions = {
  CausalToken: ["a causal token", "an encoded causal token"],
  ResumeToken: ["a resume token", "an encoded resume token"],
  SessionId: ["a session id", "a UUID of 36 characters"]
} as const

/** The schema of a kind of values, by a package. */
export const make = <A>(
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

/** {@link make} by the package `@effect/schema`. */
export const makeOld = <A>(identifier: keyof typeof descriptions, texts: Texts<A>): OldSchema.Schema<A, string> => {
  const { String, declare, transformOrFail } = OldSchema
  const { Type, succeed } = OldParseResult
  // The functions are the same in both packages; only their types differ.
  const packaged = { S: { String, declare, transformOrFail }, P: { Type, succeed } } as unknown as Package
  return make(packaged, identifier, texts) as unknown as OldSchema.Schema<A, string>
}
