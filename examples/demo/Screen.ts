/**
 * What the demo prints: headings, facts, checks and a last line that is rewritten in place.
 *
 * Colours and rewriting are for terminals. In a pipe, or with NO_COLOR, there are plain lines.
 */
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Ref from "effect/Ref"

/** How many checks were made, and the claims that are not so. */
export interface Score {
  readonly made: number
  readonly failed: ReadonlyArray<string>
}

interface Service {
  readonly score: Ref.Ref<Score>
  readonly isTerminal: boolean
  readonly paint: (code: number, text: string) => string
  /** Makes room for a line: takes away the one that is rewritten in place. It is drawn again below. */
  readonly clear: () => void
}

export class Screen extends Context.Tag("demo/Screen")<Screen, Service>() {}

const make = Effect.map(Ref.make<Score>({ made: 0, failed: [] }), (score): Service => {
  const isTerminal = process.stdout.isTTY && process.env["TERM"] !== "dumb"
  const isColoured = isTerminal && (process.env["NO_COLOR"] ?? "") === ""
  return {
    score,
    isTerminal,
    paint: (code, text) => isColoured ? `\u001b[${code}m${text}\u001b[0m` : text,
    clear: () => isTerminal && process.stdout.write(clearLine)
  }
})

const clearLine = "\r\u001b[2K"

// What the library logs belongs to the demo: it is shown where it happens, in the demo's own form.
const logger = Logger.replaceEffect(
  Logger.defaultLogger,
  Effect.map(Screen, ({ clear, paint }) =>
    Logger.make(({ annotations, logLevel, message }) => {
      const details = [...annotations].map(([name, value]) => `${name}: ${String(value)}`)
      const text = [`the library's log: ${logLevel.label}`, String(message), ...details].join(", ")
      clear()
      process.stdout.write(`${paint(dim, wrap(text, 2))}\n`)
    }))
)

export const layer = Layer.provideMerge(logger, Layer.effect(Screen, make))

const bold = 1
const dim = 2
const red = 31
const green = 32
const cyan = 36

const print = (render: (paint: Service["paint"]) => string) =>
  Effect.flatMap(Screen, ({ clear, paint }) => {
    clear()
    return Console.log(render(paint))
  })

/** Begins a part of the demo. */
export const heading = (title: string) =>
  print((paint) => `\n${paint(bold, `── ${title} ${"─".repeat(Math.max(0, 74 - title.length))}`)}`)

/** A sentence. */
export const say = (text: string) => print(() => wrap(text, 2))

/** A sentence of less weight. */
export const aside = (text: string) => print((paint) => paint(dim, wrap(text, 2)))

/** A fact and its name. */
export const fact = (name: string, value: string) =>
  print((paint) => `  ${paint(cyan, name.padEnd(8))} ${wrap(value, 11).trimStart()}`)

/** Says what is claimed and whether it is so. One claim that is not makes the demo fail. */
export const check = (claim: string, isSo: boolean) =>
  Effect.gen(function*() {
    const { score } = yield* Screen
    yield* Ref.update(score, ({ failed, made }) => ({ made: made + 1, failed: isSo ? failed : [...failed, claim] }))
    yield* print((paint) => {
      const mark = isSo ? paint(green, "✓") : paint(red, "✗ NOT SO:")
      return `  ${mark} ${wrap(claim, 4).trimStart()}`
    })
  })

/** Shows a line in the place of the one that was shown before by this function; in a pipe, below it. */
export const rewrite = (text: string) =>
  Effect.flatMap(Screen, ({ isTerminal }) => {
    const line = `  ${text}`.slice(0, width).replaceAll(noBreak, " ")
    return isTerminal ? Effect.sync(() => void process.stdout.write(clearLine + line)) : Console.log(line)
  })

/** Leaves the line that was rewritten, so that the next one goes below it. */
export const keep = Effect.flatMap(Screen, ({ isTerminal }) => isTerminal ? Console.log("") : Effect.void)

/** One of two values: what suits a line that is rewritten, or lines below each other. */
export const pick = <A>(values: { readonly terminal: A; readonly pipe: A }) =>
  Effect.map(Screen, ({ isTerminal }) => isTerminal ? values.terminal : values.pipe)

/** The checks so far. */
export const score = Effect.flatMap(Screen, ({ score }) => Ref.get(score))

/** A number as people write it. */
export const count = (number: number): string => number.toLocaleString("en")

/** A time as people write it, from milliseconds. Number and unit stay in one line. */
export const seconds = (milliseconds: number): string => `${(milliseconds / 1_000).toFixed(1)}${noBreak}s`

const noBreak = "\u00a0"

const width = 79

/** Lines that are indented and not wider than a small terminal. */
const wrap = (text: string, indent: number): string =>
  (text.match(new RegExp(`[^ ].{0,${width - indent - 2}}(?![^ ])|[^ ]+`, "g")) ?? [])
    .map((line) => `${" ".repeat(indent)}${line.trimEnd()}`)
    .join("\n")
    .replaceAll(noBreak, " ")
