import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Runtime from "effect/Runtime"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"
import { type Tally, tally } from "../support/watch/tally.js"
import { differences, type Expected, expected, type Observed } from "../support/workflows/model.js"
import * as WorkflowRun from "../support/workflows/run.js"
import * as Workflows from "../support/workflows/workflows.js"

const seed = Number(process.env["FAST_CHECK_SEED"] ?? Math.floor(Math.random() * 2 ** 31))

/** What workflows run on, and what may be wrong with it when one has come to its end. */
const worldOf = (watched: Monitor.Watched) =>
  Effect.gen(function*() {
    const admin = yield* TestServer.driver()
    const db = watched.client.driver.db(yield* TestServer.database)
    const world: WorkflowRun.World = { watched, admin, left: db.collection("left"), right: db.collection("right") }
    yield* Effect.promise(() => Promise.all([world.left, world.right].map((all) => all.insertOne(WorkflowRun.taken))))
    const problems = Effect.gen(function*() {
      yield* Monitor.awaitBackground(watched.monitor)
      const overlaps = yield* watched.monitor.overlaps
      yield* watched.monitor.clear
      return [
        ...overlaps.map(([first, second]) => `${second.name} was sent while ${first.name} was in flight`),
        ...((yield* watched.monitor.checkedOut) === 0 ? [] : ["a connection was not given back"]),
        ...((yield* watched.client.openSessions) === 0 ? [] : ["a session was not ended"])
      ]
    })
    return { world, problems, runPromise: Runtime.runPromise(yield* Effect.runtime<never>()) }
  })

/** Runs a workflow; with `interruptAt`, the whole is interrupted when that many commands were sent. */
type Run = (workflow: Workflows.Workflow, interruptAt?: number) => Promise<Observed>

interface Survey {
  readonly run: Run
  /** Fails where anything is wrong, or was left behind. */
  readonly ensureNone: (wrong: ReadonlyArray<string>) => Promise<void>
  readonly seen: Tally
}

interface Place {
  readonly world: WorkflowRun.World
  /** Holds a property of so many random workflows, and tells what has come of them. */
  readonly check: <Ts>(
    property: (survey: Survey) => FastCheck.IAsyncProperty<Ts>,
    numRuns: number
  ) => Effect.Effect<Tally>
}

layer(TestServer.own(), { excludeTestServices: true })((it) => {
  /** Runs a test in a world of its own. */
  const inWorld = <A, E, R>(test: (place: Place) => Effect.Effect<A, E, R>) =>
    Monitor.withClient({}, (watched) =>
      Effect.gen(function*() {
        const { problems, runPromise, world } = yield* worldOf(watched)
        const check: Place["check"] = (property, numRuns) =>
          Effect.promise(async () => {
            console.log(`FAST_CHECK_SEED=${seed}`)
            const seen = tally()
            let number = 0
            const run: Run = (workflow, interruptAt) =>
              runPromise(WorkflowRun.run(world, workflow, number++, interruptAt))
            const ensureNone = async (wrong: ReadonlyArray<string>) =>
              expect([...wrong, ...await runPromise(problems)].join("\n")).toBe("")
            await FastCheck.assert(property({ run, ensureNone, seen }), { numRuns, seed })
            console.log(`${number} workflows; ${seen}`)
            return seen
          })
        return yield* test({ world, check })
      }))

  describe("L9 to L13: a workflow ends as a model without a server says", () => {
    it.effect(
      "whatever 400 random ones join, nest, lose, repeat, recover from, stop and put off",
      () =>
        inWorld(({ check }) =>
          Effect.gen(function*() {
            const seen = yield* check(({ ensureNone, run, seen }) =>
              FastCheck.asyncProperty(Workflows.arbitrary, async (workflow) => {
                const model = expected(workflow)
                FastCheck.pre(!model.isVague)
                await ensureNone(differences(model, await run(workflow)))
                seen.add(model.result)
                seen.add("keys written", model.written.size)
                seen.add("hooks run", model.hooks.length)
                seen.add("attempts repeated", model.retries)
              }), 400)
            expect(seen.of("Success"), "workflows that succeeded").toBeGreaterThan(20)
            expect(seen.of("keys written"), "keys written").toBeGreaterThan(400)
            expect(seen.of("hooks run"), "hooks run").toBeGreaterThan(20)
            expect(seen.of("attempts repeated"), "attempts repeated").toBeGreaterThan(40)
          })
        )
    )

    it.effect("one that fails at once with others is repeated, although these are interrupted for it", () =>
      inWorld(({ world }) =>
        Effect.gen(function*() {
          const write = (fault?: Workflows.Fault): Workflows.Step => ({ _tag: "Write", collection: "left", fault })
          const workflow: Workflows.Workflow = {
            ambient: true,
            commits: undefined,
            body: {
              _tag: "Run",
              propagation: "required",
              body: { _tag: "All", how: "all", parts: [write({ kind: "thrown", times: 1 }), write(), write()] }
            }
          }
          const observed = yield* WorkflowRun.run(world, workflow, 0)
          expect(observed.result).toBe("Success")
          expect([...observed.written]).toEqual([["left:0.0", 1], ["left:0.1", 1], ["left:0.2", 1]])
        })
      ))

    for (const session of ["its own session", "no session"]) {
      it.effect(`one inside that fails after its commit, in ${session}, does not repeat the one around it`, () =>
        inWorld(({ world }) =>
          Effect.gen(function*() {
            const thrown: Workflows.Step = {
              _tag: "Write",
              collection: "left",
              fault: { kind: "thrown", times: 1 }
            }
            const parts: ReadonlyArray<Workflows.Step> = [
              { _tag: "Write", collection: "left", fault: undefined },
              { _tag: "End", how: "commit" },
              session === "no session" ? { _tag: "Outside", body: thrown } : thrown
            ]
            const workflow: Workflows.Workflow = {
              ambient: false,
              commits: undefined,
              body: {
                _tag: "Run",
                propagation: "required",
                body: { _tag: "Run", propagation: "requiresNew", body: { _tag: "Seq", parts } }
              }
            }
            const observed = yield* WorkflowRun.run(world, workflow, 0)
            expect(observed.result).toBe(session === "no session" ? "Direct" : "MongoError")
            expect([...observed.written.values()]).toEqual([1])
          })
        ))
    }

    it.effect(
      "whenever 150 random ones are interrupted: as one that the model interrupts at some moment",
      () =>
        inWorld(({ check }) =>
          Effect.gen(function*() {
            const seen = yield* check(({ ensureNone, run, seen }) =>
              FastCheck.asyncProperty(
                Workflows.sequential,
                FastCheck.integer({ min: 1, max: 16 }),
                async (workflow, command) => {
                  const observed = await run(workflow, command)
                  await ensureNone(nearest(allowed(workflow), observed))
                  seen.add(observed.result)
                }
              ), 150)
            expect(seen.of("Interrupted"), "workflows that were interrupted").toBeGreaterThan(30)
          })
        )
    )
  })
})

/** What may become of a workflow that is interrupted at any of its moments, or after them. */
const allowed = (workflow: Workflows.Workflow): ReadonlyArray<Expected> => {
  const whole = expected(workflow)
  return [whole, ...Array.from({ length: whole.moments }, (_, moment) => expected(workflow, moment))]
}

const nearest = (all: ReadonlyArray<Expected>, observed: Observed): ReadonlyArray<string> =>
  all.map((one) => differences(one, observed)).reduce((one, other) => other.length < one.length ? other : one)
