/**
 * Formats schema failures as paths and expectations, without the refused values.
 *
 * The formatters of the schema libraries quote values, which may be documents, tokens or passwords.
 */
import type * as AST from "@effect/schema/AST"
import type * as ParseResult from "@effect/schema/ParseResult"
import type * as EffectParseResult from "effect/ParseResult"
import type * as EffectAST from "effect/SchemaAST"

/**
 * One thing that is wrong with an option or a document.
 *
 * @since 0.1.0
 * @category models
 */
export interface Issue {
  /** Keys from the root to the place; empty for the whole. */
  readonly path: ReadonlyArray<string>
  /** What was expected, without the value that was found. */
  readonly message: string
}

type AnyIssue = ParseResult.ParseIssue | EffectParseResult.ParseIssue
type AnyAst = AST.AST | EffectAST.AST

/** The issues of a failed decoding or encoding, in order and without repetition. */
export const issuesOf = (
  error: ParseResult.ParseError | EffectParseResult.ParseError | AnyIssue
): ReadonlyArray<Issue> => {
  const seen = new Set<string>()
  return collect("issue" in error && error._tag === "ParseError" ? error.issue : error, []).filter((issue) => {
    const key = formatIssue(issue)
    return seen.has(key) ? false : seen.add(key)
  })
}

/** One issue in one line: the path, where there is one, and the message. */
export const formatIssue = (issue: Issue): string =>
  issue.path.length === 0 ? issue.message : `${issue.path.join(".")}: ${issue.message}`

// what the schema calls itself, else its shape
const describe = (ast: AnyAst): string => {
  const own = descriptionIds.map((id) => ast.annotations[id]).find((text) => typeof text === "string")
  if (own !== undefined) return own
  const text = ast._tag === "Transformation" ? describe(ast.from) : ast._tag === "Union" ? union(ast) : String(ast)
  return text.length <= longestDescription ? text : shapes[ast._tag] ?? "another value"
}

// an optional field is a union with undefined, which a message need not mention
const union = (ast: Extract<AnyAst, { readonly _tag: "Union" }>): string => {
  const members: ReadonlyArray<AnyAst> = ast.types
  const told = members.filter((member) => member._tag !== "UndefinedKeyword")
  return (told.length === 0 ? members : told).map(describe).join(" or ")
}

const collect = (issue: AnyIssue, path: ReadonlyArray<string>): ReadonlyArray<Issue> => {
  switch (issue._tag) {
    case "Missing":
      return [{ path, message: "is missing" }]
    case "Unexpected":
      return [{ path, message: "is not a known key" }]
    case "Forbidden":
      return [{ path, message: "cannot be decoded synchronously" }]
    case "Type":
      return [{ path, message: `expected ${describe(issue.ast)}` }]
    case "Pointer":
      return collect(issue.issue, [...path, ...listOf(issue.path).map(nameOfKey)])
    case "Refinement":
    case "Transformation":
      return collect(issue.issue, path)
    case "Composite": {
      const members = listOf(issue.issues).map((member) => collect(member, path))
      return issue.ast._tag === "Union" ? closestMember(issue.ast, members, path) : members.flat()
    }
  }
}

// a union is refused by all its members; one that failed only below its own level is the one that was meant
const closestMember = (
  ast: AnyAst,
  members: ReadonlyArray<ReadonlyArray<Issue>>,
  path: ReadonlyArray<string>
): ReadonlyArray<Issue> =>
  members.find((issues) => issues.length > 0 && issues.every((issue) => issue.path.length > path.length)) ??
    [{ path, message: `expected ${describe(ast)}` }]

const listOf = <A>(one: A | ReadonlyArray<A>): ReadonlyArray<A> => Array.isArray(one) ? one : [one as A]

/** What messages call a key that may be data. */
export const nameless = "<key>"

/**
 * A key as messages name it. One that does not look like a field's name may be data, as in a record keyed by e-mail address.
 */
export const nameOfKey = (key: PropertyKey): string => {
  const text = String(key).replaceAll("\0", "\\0")
  return /^(?:[A-Za-z0-9_$-]|\\0){1,64}$/.test(text) ? text : nameless
}

const longestDescription = 300

const descriptionIds: ReadonlyArray<symbol> = ["Description", "Identifier", "Title"].flatMap((name) => [
  Symbol.for(`@effect/schema/annotation/${name}`),
  Symbol.for(`effect/annotation/${name}`)
])

const shapes: { readonly [Tag in AnyAst["_tag"]]?: string } = {
  TypeLiteral: "an object",
  TupleType: "an array",
  Union: "one of several forms",
  Refinement: "a value that meets the schema's rule"
}
