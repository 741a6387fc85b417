/**
 * Runs the tests of a file, one after the other, each with entities of its own.
 *
 * See the specification "Unified Test Format", section "Test Runner Implementation".
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Driver from "mongodb"
import { create } from "./creation.js"
import * as Entities from "./entities.js"
import { ensureEvents } from "./events.js"
import type { File, Test } from "./format.js"
import * as Operations from "./operations/index.js"
import { unmet } from "./requirements.js"
import type { Server } from "./server.js"
import { ensureSpans } from "./tracing.js"
import { isDocument } from "./values.js"
import { Mismatch, Unsupported } from "./verdict.js"

/** What came of a test. */
export interface Outcome {
  readonly result: "passed" | "failed" | "skipped"
  readonly reason: string
}

// No test takes long; one that does hangs.
const timeLimit = "60 seconds"

/** Runs one test of a file. */
export const run = (server: Server, file: File, test: Test): Effect.Effect<Outcome> => {
  const reason = test.skipReason ?? unmet(file.runOnRequirements, server.deployment) ??
    unmet(test.runOnRequirements, server.deployment) ??
    (test.expectLogMessages === undefined ? undefined : "the library writes no log of the driver's kind")
  if (reason !== undefined) return Effect.succeed({ result: "skipped", reason })
  return execute(server, file, test).pipe(
    Effect.disconnect,
    Effect.timeoutFail({ duration: timeLimit, onTimeout: () => new Mismatch(`took longer than ${timeLimit}`) }),
    Effect.exit,
    Effect.map(outcomeOf),
    // An abort that was made to fail leaves its transaction open, and what it has locked.
    Effect.tap(() => server.killAllSessions)
  )
}

const execute = (server: Server, file: File, test: Test): Effect.Effect<void, Entities.Failure> =>
  Effect.scoped(Effect.gen(function*() {
    const entities = Entities.make()
    const failPoints = new Set<string>()
    const place = { url: server.url, entities, scope: yield* Effect.scope }
    const world: Operations.World = {
      server,
      entities,
      failPoints,
      create: (declarations) => create(place, documents(declarations)),
      all: (operations) => Operations.runAll(world, operations),
      nested: (operations) =>
        Effect.forEach(operations, (operation) => Operations.run(world, operation), { discard: true })
    }
    // Before sessions are ended, whose transactions are then aborted.
    const settle = Effect.suspend(() => {
      for (const { recorder } of clientsOf(entities)) recorder.stop()
      return server.disable(failPoints)
    })

    yield* server.load(file.initialData)
    if (file.initialData.length === 0) yield* emptied(server, file.createEntities)
    yield* create(place, file.createEntities)
    yield* Effect.ensuring(world.all(test.operations), settle)
    for (const expected of test.expectEvents) {
      ensureEvents(expected, entities.get("client", expected.client).recorder, entities.names)
    }
    for (const expected of test.expectTracingMessages) {
      const { tracing } = entities.get("client", expected.client)
      if (tracing === undefined) throw new Mismatch(`${expected.client} does not observe its spans`)
      ensureSpans(expected, tracing, entities.names)
    }
    yield* Effect.forEach(test.outcome, server.ensureData, { discard: true })
  }))

// A file that says nothing of its data begins with none, whatever another file has left.
const emptied = (server: Server, declarations: ReadonlyArray<Driver.Document>): Effect.Effect<void> => {
  const names = new Map(
    declarations.flatMap(({ database: named }) => named ? [[named["id"], named["databaseName"]]] : [])
  )
  return Effect.forEach(
    declarations.flatMap(({ collection }) => collection ?? []),
    ({ collectionName, database }) => server.empty(String(names.get(database)), String(collectionName)),
    { discard: true }
  )
}

const clientsOf = (entities: Entities.Entities): ReadonlyArray<Entities.Client> =>
  [...entities.all()].filter((entity) => entity._tag === "client")

const documents = (value: unknown): ReadonlyArray<Readonly<Record<string, unknown>>> =>
  Array.isArray(value) ? value.filter(isDocument) : []

const outcomeOf = (exit: Exit.Exit<void, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return { result: "passed", reason: "" }
  const errors = [...Cause.defects(exit.cause), ...Cause.failures(exit.cause)]
  const verdict = errors.find((error) => error instanceof Mismatch) ??
    errors.find((error) => error instanceof Unsupported)
  if (verdict instanceof Unsupported) return { result: "skipped", reason: `not supported: ${verdict.message}` }
  return {
    result: "failed",
    reason: verdict instanceof Error ? verdict.message : Cause.pretty(exit.cause, { renderErrorCause: true })
  }
}
