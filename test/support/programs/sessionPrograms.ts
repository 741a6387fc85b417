/**
 * Random programs that use one session in every way that might make two of its commands meet.
 */
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import type { ClientSession, Db } from "mongodb"

/** The operations of the driver that a program is made of. Writes do not take the signal. */
export const operations = {
  ping: (db: Db, session: ClientSession, signal: AbortSignal) => db.command({ ping: 1 }, { session, signal }),
  find: (db: Db, session: ClientSession, signal: AbortSignal) =>
    db.collection("users").findOne({}, { session, signal }),
  findInBatches: (db: Db, session: ClientSession, signal: AbortSignal) =>
    db.collection("users").find({}, { session, signal, batchSize: 2, limit: 7 }).toArray(),
  slowFind: (db: Db, session: ClientSession, signal: AbortSignal) =>
    db.collection("users").aggregate([{ $limit: 1 }], { session, signal }).toArray(),
  insert: (db: Db, session: ClientSession) => db.collection("users").insertOne({}, { session }),
  slowWrite: (db: Db, session: ClientSession) =>
    db.collection("users").updateOne({}, { $set: { seen: true } }, { session })
} as const

/** The name of an operation. */
export type Operation = keyof typeof operations

/** The commands that a fail point is to delay, so that the slow operations are slow. */
export const slowCommands: ReadonlyArray<string> = ["aggregate", "update"]

/** A program. Times are in milliseconds. */
export type Program =
  | { readonly _tag: "Run"; readonly operation: Operation }
  | { readonly _tag: "All"; readonly parts: ReadonlyArray<Program>; readonly concurrent: boolean }
  | { readonly _tag: "Fork"; readonly part: Program; readonly daemon: boolean }
  | { readonly _tag: "Race"; readonly left: Program; readonly right: Program }
  | { readonly _tag: "Timeout"; readonly part: Program; readonly after: number }
  | { readonly _tag: "Interrupt"; readonly part: Program; readonly after: number }

const nested: FastCheck.Arbitrary<Program> = FastCheck.letrec<{ program: Program; run: Program }>((tie) => ({
  run: FastCheck.record({
    _tag: FastCheck.constant("Run" as const),
    operation: FastCheck.constantFrom(...(Object.keys(operations) as Array<Operation>))
  }),
  program: FastCheck.oneof(
    { maxDepth: 4, depthIdentifier: "program", depthSize: "medium" },
    { weight: 2, arbitrary: tie("run") },
    {
      weight: 3,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("All" as const),
        parts: FastCheck.array(tie("program"), { minLength: 1, maxLength: 5, depthIdentifier: "program" }),
        concurrent: FastCheck.boolean()
      })
    },
    {
      weight: 1,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Fork" as const),
        part: tie("program"),
        daemon: FastCheck.boolean()
      })
    },
    {
      weight: 1,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Race" as const),
        left: tie("program"),
        right: tie("program")
      })
    },
    {
      weight: 1,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Timeout" as const),
        part: tie("program"),
        after: FastCheck.nat(12)
      })
    },
    {
      weight: 1,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Interrupt" as const),
        part: tie("program"),
        after: FastCheck.nat(12)
      })
    }
  )
})).program

/** Programs of several parts at once, which nest up to five levels deep. */
export const arbitrary: FastCheck.Arbitrary<Program> = FastCheck.record({
  _tag: FastCheck.constant("All" as const),
  parts: FastCheck.array(nested, { minLength: 2, maxLength: 3 }),
  concurrent: FastCheck.constant(true)
})

/**
 * Runs a program; `use` runs one of its operations. The result waits for the daemons that the program has left behind.
 */
export const run = (
  program: Program,
  use: (operation: Operation) => Effect.Effect<unknown>
): Effect.Effect<{ readonly awaitDaemons: Effect.Effect<void> }> => {
  const daemons: Array<Fiber.Fiber<unknown>> = []
  const go = (part: Program): Effect.Effect<unknown> => {
    switch (part._tag) {
      case "Run":
        return use(part.operation)
      case "All":
        return Effect.forEach(part.parts, go, { concurrency: part.concurrent ? "unbounded" : 1, discard: true })
      case "Fork":
        return part.daemon
          ? Effect.map(Effect.forkDaemon(go(part.part)), (fiber) => void daemons.push(fiber))
          : Effect.fork(go(part.part))
      case "Race":
        return Effect.race(go(part.left), go(part.right))
      case "Timeout":
        return Effect.timeoutOption(go(part.part), part.after)
      case "Interrupt":
        return Effect.gen(function*() {
          const fiber = yield* Effect.fork(go(part.part))
          yield* Effect.sleep(part.after)
          yield* Fiber.interrupt(fiber)
        })
    }
  }
  return Effect.as(go(program), {
    awaitDaemons: Effect.suspend(() => Effect.forEach(daemons, (fiber) => Fiber.join(fiber), { discard: true }))
  })
}
