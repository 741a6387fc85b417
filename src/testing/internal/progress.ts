/**
 * Reports progress while a server is downloaded and started.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"

/** Where the words go. */
export interface Progress {
  /** Says one line. */
  readonly say: (line: string) => Effect.Effect<void>
  /** Runs an effect that takes long, saying so as long as it does; `update` changes the words. */
  readonly during: <A, E, R>(
    line: string,
    effect: (update: (line: string) => void) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
}

/** Gives every new line to the function. */
export const toFunction = (say: (line: string) => Effect.Effect<void>): Progress => ({
  say,
  during: (line, effect) => whileSaying(line, effect, plain(say), Effect.void)
})

/** Writes to the standard error: one line that turns and counts on a terminal, plain lines elsewhere. */
export const toStderr: Progress = {
  say: (line) => write(`${line}\n`),
  during: (line, effect) =>
    process.stderr.isTTY === true
      ? whileSaying(line, effect, animated, write(clearLine))
      : whileSaying(line, effect, plain((text) => write(`${text}\n`)), Effect.void)
}

const clearLine = "\r\u001b[2K"

const frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

const write = (text: string): Effect.Effect<void> => Effect.sync(() => void process.stderr.write(text))

type Saying = (words: () => string) => Effect.Effect<void>

const whileSaying = <A, E, R>(
  line: string,
  effect: (update: (line: string) => void) => Effect.Effect<A, E, R>,
  saying: Saying,
  atEnd: Effect.Effect<void>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let words = line
    const work = effect((text) => {
      words = text
    })
    return Effect.acquireUseRelease(
      // acquiring is uninterruptible, and what is forked there would inherit that
      Effect.fork(Effect.interruptible(saying(() => words))),
      () => work,
      (fiber) => Effect.zipRight(Fiber.interrupt(fiber), atEnd)
    )
  })

const elapsed = (started: number) =>
  Effect.map(Clock.currentTimeMillis, (now) => `${Math.floor((now - started) / 1000)} s`)

const animated: Saying = (words) =>
  Effect.flatMap(Clock.currentTimeMillis, (started) => {
    let turn = 0
    const draw = Effect.flatMap(elapsed(started), (time) => {
      const text = `${frames[turn++ % frames.length]} ${words()} (${time})`
      return write(clearLine + text.slice(0, (process.stderr.columns || 80) - 1))
    })
    return Effect.asVoid(Effect.repeat(draw, Schedule.spaced("100 millis")))
  })

// without a terminal only changes are worth a line, and a sign of life now and then
const plain = (say: (line: string) => Effect.Effect<void>): Saying => (words) =>
  Effect.flatMap(Clock.currentTimeMillis, (started) => {
    let said = ""
    const sayNew = Effect.suspend(() => {
      if (words() === said) return Effect.void
      said = words()
      return say(said)
    })
    const signOfLife = Effect.flatMap(elapsed(started), (time) => say(`${words()} (${time})`))
    return Effect.zipRight(
      Effect.fork(Effect.forever(Effect.delay(signOfLife, "15 seconds"))),
      Effect.asVoid(Effect.repeat(sayNew, Schedule.spaced("250 millis")))
    )
  })
