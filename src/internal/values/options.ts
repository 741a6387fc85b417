/**
 * The common parts of option decoders: a field for times, a list of all issues, and reading options from `Config`.
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { SessionMisconfigured } from "../../SessionErrors.js"
import { unreadable } from "./fault.js"
import { type Issue, issuesOf } from "./issues.js"

/** The longest time, in milliseconds, that the server takes: its times are signed 32-bit numbers. */
export const serverLimit = 2 ** 31 - 1

/**
 * A time of at least a millisecond, rounded up to whole ones: shorter times would reach the server as 0, which means
 * "no limit" there.
 */
export const duration = (
  maxMillis: number = Number.MAX_SAFE_INTEGER
): Schema.Schema<Duration.Duration, Duration.DurationInput> => {
  const description = maxMillis === serverLimit
    ? "a time of at least 1 millisecond and at most 2147483647"
    : "a finite time of at least 1 millisecond"
  const isTime = (input: unknown): input is Duration.DurationInput => Option.isSome(millisOf(input, maxMillis))
  // Read once: what an object says may change, and then it was not checked.
  return Schema.transformOrFail(Schema.declare(isTime, { description }), Schema.DurationFromSelf, {
    strict: true,
    decode: (input, _, ast) =>
      Option.match(millisOf(input, maxMillis), {
        onNone: () => ParseResult.fail(new ParseResult.Type(ast, input)),
        onSome: (millis) => ParseResult.succeed(Duration.millis(millis))
      }),
    encode: ParseResult.succeed
  })
}

const millisOf = (input: unknown, maxMillis: number): Option.Option<number> =>
  Option.filter(wholeMillis(input), (millis) => millis >= 1 && millis <= maxMillis)

// Longer texts have more digits than there is time.
const longestTime = 64

// less than one is left as it is, so that it can be told from one
const wholeMillis = Option.liftThrowable((input: unknown): number => {
  if (typeof input === "string" && input.length > longestTime) return Infinity
  const millis = Duration.toMillis(Option.getOrThrow(Duration.decodeUnknown(input)))
  return millis < 1 ? millis : Math.ceil(millis)
})

/** A time of 0 or more, in any of its forms. A duration makes 0 of what is below, and of what is no number. */
export const timeFromZero = (input: unknown): Option.Option<Duration.Duration> =>
  Option.filter(Duration.decodeUnknown(input), () => ![input].flat().some(isBelowZero))

const isBelowZero = (part: unknown): boolean =>
  typeof part === "string"
    ? part.startsWith("-")
    : (typeof part === "number" || typeof part === "bigint") && !(part >= 0)

/** How many characters a name or a key may have. Descriptions say it as a text: what has to be computed stays in each bundle. */
export const longestText = 1024

/**
 * A name or a key. Without surrogates that stand alone: the encoder puts the same character in the place of each, and then two
 * names were one.
 */
export const Text = Schema.String.pipe(
  Schema.filter((text) => text.length >= 1 && text.length <= longestText && text.isWellFormed())
).annotations({
  description: "a text of 1 to 1024 characters, none of them half a surrogate pair"
})

/** A name that is a part of a key. */
export const Name = Text.pipe(Schema.filter((name) => !name.includes("/"))).annotations({
  description: "a name of 1 to 1024 characters, without a slash or half a surrogate pair"
})

/** A rule over several fields of an input that need not be valid; it must not complain of what the fields do. */
export type Rules = (input: { readonly [key: string]: unknown }) => ReadonlyArray<Issue>

/**
 * A decoder that reports the issues of the fields and of the rules over them at once. What cannot be read is an issue as
 * well.
 */
export const decoder = <A, I>(schema: Schema.Schema<A, I>, rules: Rules) => {
  // Made when it is first asked for: most programs give few of the options that there are, and making it takes long.
  let parser: ReturnType<typeof parserOf<A, I>> | undefined
  return (given: unknown): Either.Either<A, SessionMisconfigured> =>
    reading(() => {
      // Read once: what a getter says may change, and then the rules would be checked of something else.
      const input = Predicate.isRecord(given) ? { ...given } : given
      const decoded = (parser ??= parserOf(schema))(input)
      const issues = [
        ...Either.match(decoded, { onLeft: issuesOf, onRight: () => [] }),
        ...(Predicate.isRecord(input) ? rules(input) : [])
      ]
      return Either.isRight(decoded) && issues.length === 0 ? Either.right(decoded.right) : Either.left(issues)
    })
}

const parserOf = <A, I>(schema: Schema.Schema<A, I>) =>
  Schema.decodeUnknownEither(schema, { errors: "all", onExcessProperty: "error" })

/** Reads what is given: fails with its issues, a hundred at most, or because a getter or a proxy throws. */
export const reading = <A>(
  read: () => Either.Either<A, ReadonlyArray<Issue>>
): Either.Either<A, SessionMisconfigured> =>
  Either.mapLeft(
    Either.flatMap(Either.try({ try: read, catch: () => [{ path: [], message: unreadable }] }), identity),
    (issues) => new SessionMisconfigured({ issues: limited(issues) })
  )

// An object of a stranger's may have any number of unknown keys.
const mostIssues = 100

const limited = (issues: ReadonlyArray<Issue>): ReadonlyArray<Issue> =>
  issues.length <= mostIssues
    ? issues
    : [...issues.slice(0, mostIssues), { path: [], message: `and ${issues.length - mostIssues} more issues` }]

/**
 * Options that can be taken apart before they are decoded: read once, as a getter, or a proxy, may throw, and copied. Fails
 * where they are no object.
 */
export const readable = <A extends object>(
  options: A | undefined
): Either.Either<A | undefined, SessionMisconfigured> =>
  options === undefined ? Either.right(options) : reading(() =>
    Predicate.isRecord(options)
      ? Either.right({ ...options })
      : Either.left([{ path: [], message: "expected an object of options" }])
  )

/** What was read of options: nothing of those that can't be read, for what is made of them to fail when it is used. */
export const givenIn = <A extends object>(read: Either.Either<A | undefined, unknown>): Partial<A> =>
  Either.getOrElse(read, () => undefined) ?? {}

/** Whether there are no options at all, which is the usual case. Decoding takes longer than most operations need. */
export const isNone = (options: unknown): boolean => options === undefined || isEmpty(options)

const isEmpty = (options: unknown): boolean => {
  try {
    return Predicate.isRecord(options) && Object.getPrototypeOf(options) === Object.prototype &&
      Reflect.ownKeys(options).length === 0
  } catch {
    return false
  }
}

/** What is wrong with options that were decoded. */
export const issuesIn = (decoded: Either.Either<unknown, SessionMisconfigured>): ReadonlyArray<Issue> =>
  Either.match(decoded, { onLeft: ({ issues }) => issues, onRight: () => [] })

/** Fails where there is an issue. */
export const refusalOf = (issues: ReadonlyArray<Issue>): SessionMisconfigured | undefined =>
  issues.length === 0 ? undefined : new SessionMisconfigured({ issues })

/** The same issues, found below a key. */
export const below = (key: string, issues: ReadonlyArray<Issue>): ReadonlyArray<Issue> =>
  issues.map(({ message, path }) => ({ path: [key, ...path], message }))

/** Where an option is found in the configuration. */
export interface ConfigKey {
  /** The key, e.g. `["TRANSACTION", "TIMEOUT"]`. */
  readonly key: ReadonlyArray<string>
  /** The option, e.g. `["defaultTransactionOptions", "timeout"]`. */
  readonly path: ReadonlyArray<string>
  /** What its text stands for. Text that stands for nothing of the kind is left to the decoder to refuse. */
  readonly as: "boolean" | "number" | "text" | "number or false" | "time or false"
}

/** Options from configuration: those of the keys that are there, decoded like any others. */
export const fromConfig = <A>(
  prefix: string,
  keys: ReadonlyArray<ConfigKey>,
  decode: (input: unknown) => Either.Either<A, SessionMisconfigured>
): Config.Config<A> => {
  const texts = Config.all(keys.map(({ key }) => Config.option(nested(key))))
  const options = Config.mapOrFail(texts, (texts) => {
    const given = keys.flatMap((key, index) =>
      Option.toArray(texts[index] ?? Option.none()).map((text) => [key.path, parse(key.as, text)] as const)
    )
    return Either.mapLeft(decode(tree(given)), ({ issues }) => configError(keys, issues))
  })
  return prefix === "" ? options : Config.nested(options, prefix)
}

const nested = (key: ReadonlyArray<string>): Config.Config<string> =>
  key.slice(0, -1).reduceRight((config, name) => Config.nested(config, name), Config.string(key.at(-1)))

const parse = (as: ConfigKey["as"], text: string): unknown => {
  const trimmed = text.trim()
  switch (as) {
    case "boolean":
      return truthOf(trimmed.toLowerCase()) ?? trimmed
    case "number":
      return /^-?\d+(\.\d+)?$/.test(trimmed) ? Number(trimmed) : trimmed
    case "text":
      return trimmed
    case "number or false":
      return trimmed.toLowerCase() === "false" ? false : parse("number", text)
    // A time without a unit is not known to be one.
    case "time or false":
      return trimmed.toLowerCase() === "false" ? false : trimmed
  }
}

// the words of Config.boolean, whose own error quotes the value
const truthOf = (word: string): boolean | undefined =>
  ["true", "yes", "on", "1"].includes(word) ? true : ["false", "no", "off", "0"].includes(word) ? false : undefined

type Tree = { readonly [key: string]: unknown }

const tree = (given: ReadonlyArray<readonly [path: ReadonlyArray<string>, value: unknown]>): Tree =>
  given.reduce<Tree>((into, [path, value]) => insert(into, path, value), {})

const insert = (into: Tree, [key, ...rest]: ReadonlyArray<string>, value: unknown): Tree => {
  if (key === undefined) return into
  const inner = into[key]
  return { ...into, [key]: rest.length === 0 ? value : insert(Predicate.isRecord(inner) ? inner : {}, rest, value) }
}

const configError = (
  keys: ReadonlyArray<ConfigKey>,
  issues: ReadonlyArray<Issue>
): ConfigError.ConfigError => {
  const isWithin = (outer: ReadonlyArray<string>, inner: ReadonlyArray<string>) =>
    outer.every((name, index) => inner[index] === name)
  return issues
    .map(({ message, path }) => {
      const key = keys.find((key) => isWithin(key.path, path)) ?? keys.find((key) => isWithin(path, key.path))
      return ConfigError.InvalidData([...(key?.key ?? [])], message)
    })
    .reduce((self, that) => ConfigError.And(self, that))
}
