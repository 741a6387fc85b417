/**
 * Programs that are killed at random moments, and started again.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { live } from "../../../src/testing/internal/live.js"
import * as Processes from "./processes.js"

/** The seed of the moments, so that a failure can be looked at again. */
export const seed = Number(process.env["CRASH_SEED"] ?? Math.floor(Math.random() * 2 ** 31))

/** How often a program is killed. Each run of the tests has other moments; more of them at once are for whoever asks. */
export const count = Number(process.env["CRASHES"] ?? 3)

/**
 * Starts a program again and again, each time killing it at a random moment of its work, and then once more, for as long
 * as it takes until it is done. Gives how far it had come at each crash.
 *
 * The moments are told by how far it has come, not by a clock: some of the work is left, however fast it is.
 */
export const crashing = <E, R>(
  program: URL,
  args: ReadonlyArray<string>,
  options: {
    /** How far it has come when it is done. */
    readonly total: number
    readonly progress: Effect.Effect<number, E, R>
    /** Waits until all is done. */
    readonly done: Effect.Effect<unknown, E, R>
  }
): Effect.Effect<ReadonlyArray<number>, E, R> =>
  Effect.gen(function*() {
    const reached: Array<number> = []
    const bundle = yield* Processes.bundled(program)
    for (let crash = 0; crash < count; crash++) {
      yield* Effect.scoped(Effect.gen(function*() {
        const before = yield* options.progress
        // As much is left to each of the crashes to come, and to the end.
        const share = Math.floor((options.total - before) / (count - crash + 1))
        const goal = before + (yield* Random.nextIntBetween(1, Math.max(2, share)))
        const child = yield* Processes.start(bundle, args)
        yield* child.firstLine
        const working = Effect.repeat(Effect.zipLeft(options.progress, Effect.sleep("20 millis")), {
          while: (now) => now < goal
        })
        yield* Effect.raceFirst(working, failed(child))
        yield* Effect.sleep(yield* Random.nextRange(0, 20))
        yield* child.kill("SIGKILL")
        yield* child.ended
      }))
      reached.push(yield* options.progress)
    }
    yield* Effect.scoped(
      Effect.flatMap(Processes.start(bundle, args), (child) => Effect.raceFirst(options.done, failed(child)))
    )
    return reached
  }).pipe(Effect.scoped, Effect.withRandom(Random.make(seed)), live)

const failed = (child: Processes.Program) =>
  Effect.flatMap(
    Effect.zipRight(child.ended, child.errors),
    (errors) => Effect.dieMessage(`the program has ended by itself: ${errors.slice(-20).join("\n")}`)
  )
