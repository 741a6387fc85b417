/**
 * Random workflows: trees of writes and of parts in one, several or no transactions, with everything that may happen to
 * them. `workflowModel` says what must become of one, `workflowRun` runs it.
 *
 * Where the result of concurrency depends on who is first, it is kept out: parts that run at once do not fail and are not
 * stopped, but for the writes of `Race` and `Clash`, which may each be there or not.
 */
import * as FastCheck from "effect/FastCheck"

/**
 * How an operation fails, the first `times` times that it is run.
 *
 * - `thrown`: in the program, with an error of the driver that is labelled as transient
 * - `failPoint`: on the server, without being executed, labelled as transient
 * - `duplicate`: on the server, which then aborts its transaction, not labelled
 */
export interface Fault {
  readonly kind: "thrown" | "failPoint" | "duplicate"
  readonly times: number
}

/**
 * How the first commits that are sent fail.
 *
 * - `transient`: labelled so, not executed
 * - `lost`: unknown, not executed
 * - `refused`: no label, not executed
 * - `unsatisfied`: executed, but its write concern cannot be met
 */
export interface CommitFault {
  readonly kind: "transient" | "lost" | "refused" | "unsatisfied"
  readonly times: number
}

/** When a hook is to run. */
export type Moment = "beforeCommit" | "onCommit" | "onRollback"

/** What a workflow is made of. */
export type Step =
  | { readonly _tag: "Write"; readonly collection: "left" | "right"; readonly fault: Fault | undefined }
  | { readonly _tag: "Read" }
  | { readonly _tag: "Fail" }
  | { readonly _tag: "Die" }
  /** Waits for ever; the innermost `Cut` around it, or whoever runs the workflow, then interrupts. */
  | { readonly _tag: "Stall" }
  | { readonly _tag: "RollbackOnly" }
  | { readonly _tag: "End"; readonly how: "commit" | "abort" }
  | { readonly _tag: "Hook"; readonly moment: Moment; readonly does: Doing }
  /** A daemon that writes when the transaction is over. */
  | { readonly _tag: "Late" }
  | { readonly _tag: "Seq"; readonly parts: ReadonlyArray<Step> }
  | { readonly _tag: "All"; readonly parts: ReadonlyArray<Step>; readonly how: "all" | "fork" }
  /** So many writes at once, the first of which ends the others. */
  | { readonly _tag: "Race"; readonly writes: number }
  /** A write, then so many at once with a failure. */
  | { readonly _tag: "Clash"; readonly writes: number }
  | {
    readonly _tag: "Run"
    readonly propagation: "required" | "requiresNew" | "mandatory" | "never"
    readonly body: Step
  }
  | { readonly _tag: "Outside"; readonly body: Step }
  | { readonly _tag: "Recover"; readonly body: Step }
  | { readonly _tag: "Wrap"; readonly body: Step }
  | { readonly _tag: "Cut"; readonly how: "interrupt" | "timeout"; readonly body: Step }

/** What a hook does, besides being noted. */
export type Doing = "nothing" | "write" | "fail"

/** A workflow, and where it runs. */
export interface Workflow {
  readonly body: Step
  /** Whether there is a session around the whole. */
  readonly ambient: boolean
  readonly commits: CommitFault | undefined
}

/** How many attempts each transaction of a workflow has. */
export const maxAttempts = 3

const tagged = <Tag extends Step["_tag"]>(_tag: Tag) => FastCheck.constant({ _tag })

type Faults = ReadonlyArray<Fault["kind"]>

const fault = (kinds: Faults): FastCheck.Arbitrary<Fault> =>
  FastCheck.record({ kind: FastCheck.constantFrom(...kinds), times: FastCheck.constantFrom(1, 1, 1, 2, 9) })

const write = (faults: Faults): FastCheck.Arbitrary<Step> =>
  FastCheck.record({
    _tag: FastCheck.constant("Write" as const),
    collection: FastCheck.constantFrom<"left" | "right">("left", "right"),
    fault: faults.length === 0
      ? FastCheck.constant(undefined)
      : FastCheck.oneof(
        { weight: 6, arbitrary: FastCheck.constant(undefined) },
        { weight: 1, arbitrary: fault(faults) }
      )
  })

const hook = (moments: ReadonlyArray<Moment>, doings: ReadonlyArray<Doing>): FastCheck.Arbitrary<Step> =>
  FastCheck.record({
    _tag: FastCheck.constant("Hook" as const),
    moment: FastCheck.constantFrom(...moments),
    does: FastCheck.constantFrom(...doings)
  })

const run = (body: FastCheck.Arbitrary<Step>, propagations: ReadonlyArray<(Step & { _tag: "Run" })["propagation"]>) =>
  FastCheck.record({
    _tag: FastCheck.constant("Run" as const),
    propagation: FastCheck.constantFrom(...propagations),
    body
  })

const list = (part: FastCheck.Arbitrary<Step>, minLength: number, maxLength: number, depthIdentifier: string) =>
  FastCheck.array(part, { minLength, maxLength, depthIdentifier })

const seq = (part: FastCheck.Arbitrary<Step>, maxLength: number, depthIdentifier: string): FastCheck.Arbitrary<Step> =>
  FastCheck.record({
    _tag: FastCheck.constant("Seq" as const),
    parts: list(part, 1, maxLength, depthIdentifier)
  })

/** Parts that neither fail nor are stopped, and so may run at once with others. */
const calm: FastCheck.Arbitrary<Step> = FastCheck.letrec<{ step: Step }>((tie) => ({
  step: FastCheck.oneof(
    { maxDepth: 2, depthIdentifier: "calm", depthSize: "medium" },
    { weight: 4, arbitrary: write([]) },
    { weight: 1, arbitrary: tagged("Read") },
    { weight: 1, arbitrary: hook(["beforeCommit", "onCommit", "onRollback"], ["nothing", "write"]) },
    { weight: 1, arbitrary: tagged("Late") },
    { weight: 3, arbitrary: seq(tie("step"), 3, "calm") },
    { weight: 2, arbitrary: run(tie("step"), ["required", "requiresNew"]) },
    {
      weight: 1,
      arbitrary: FastCheck.record({ _tag: FastCheck.constant("Outside" as const), body: tie("step") })
    }
  )
})).step

const concurrent: ReadonlyArray<FastCheck.WeightedArbitrary<Step>> = [
  {
    weight: 3,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("All" as const),
      parts: FastCheck.array(calm, { minLength: 2, maxLength: 4 }),
      how: FastCheck.constantFrom<"all" | "fork">("all", "fork")
    })
  },
  {
    weight: 1,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constantFrom<"Race" | "Clash">("Race", "Clash"),
      writes: FastCheck.integer({ min: 1, max: 3 })
    })
  }
]

const steps = (
  faults: Faults,
  atOnce: ReadonlyArray<FastCheck.WeightedArbitrary<Step>>
): FastCheck.Arbitrary<Step> =>
  FastCheck.letrec<{ step: Step }>((tie) => ({
    step: FastCheck.oneof(
      { maxDepth: 5, depthIdentifier: "step", depthSize: "large" },
      { weight: 8, arbitrary: write(faults) },
      { weight: 1, arbitrary: tagged("Read") },
      { weight: 1, arbitrary: tagged("Fail") },
      { weight: 1, arbitrary: FastCheck.constantFrom<Step>({ _tag: "Stall" }, { _tag: "Stall" }, { _tag: "Die" }) },
      { weight: 1, arbitrary: FastCheck.constantFrom<Step>({ _tag: "RollbackOnly" }, { _tag: "Late" }) },
      { weight: 2, arbitrary: hook(["beforeCommit", "onCommit", "onRollback"], ["nothing", "write", "write", "fail"]) },
      {
        weight: 1,
        arbitrary: FastCheck.record({
          _tag: FastCheck.constant("End" as const),
          how: FastCheck.constantFrom<"commit" | "abort">("commit", "abort")
        })
      },
      ...atOnce,
      { weight: 10, arbitrary: seq(tie("step"), 4, "step") },
      {
        weight: 8,
        arbitrary: run(
          tie("step"),
          [
            ...Array<"required">(8).fill("required"),
            ...Array<"requiresNew">(5).fill("requiresNew"),
            "mandatory",
            "never"
          ]
        )
      },
      { weight: 2, arbitrary: FastCheck.record({ _tag: FastCheck.constant("Outside" as const), body: tie("step") }) },
      { weight: 5, arbitrary: FastCheck.record({ _tag: FastCheck.constant("Recover" as const), body: tie("step") }) },
      { weight: 1, arbitrary: FastCheck.record({ _tag: FastCheck.constant("Wrap" as const), body: tie("step") }) },
      {
        weight: 3,
        arbitrary: FastCheck.record({
          _tag: FastCheck.constant("Cut" as const),
          how: FastCheck.constantFrom<"interrupt" | "timeout">("interrupt", "timeout"),
          // so that there is something to stop more often than not
          body: FastCheck.oneof(
            tie("step"),
            FastCheck.record({
              _tag: FastCheck.constant("Seq" as const),
              parts: FastCheck.tuple(tie("step"), tagged("Stall"))
            }),
            run(
              FastCheck.record({
                _tag: FastCheck.constant("Seq" as const),
                parts: FastCheck.tuple(tie("step"), tagged("Stall"))
              }),
              ["required", "requiresNew"]
            )
          )
        })
      }
    )
  })).step

const workflow = (
  step: FastCheck.Arbitrary<Step>,
  commits: FastCheck.Arbitrary<CommitFault | undefined>
): FastCheck.Arbitrary<Workflow> =>
  FastCheck.record({
    body: FastCheck.record({
      _tag: FastCheck.constant("Seq" as const),
      parts: FastCheck.tuple(run(seq(step, 5, "step"), ["required"]), step)
    }),
    ambient: FastCheck.boolean(),
    commits
  })

const commitFault: FastCheck.Arbitrary<CommitFault> = FastCheck.record({
  kind: FastCheck.constantFrom<CommitFault["kind"]>("transient", "lost", "refused", "unsatisfied"),
  times: FastCheck.constantFrom(1, 1, 2, 3)
})

// A server has one fail point: a second one takes the place of the first.
const workflows = (atOnce: ReadonlyArray<FastCheck.WeightedArbitrary<Step>>): FastCheck.Arbitrary<Workflow> =>
  FastCheck.oneof(
    {
      weight: 4,
      arbitrary: workflow(
        steps(["thrown", "thrown", "failPoint", "failPoint", "duplicate"], atOnce),
        FastCheck.constant(undefined)
      )
    },
    { weight: 1, arbitrary: workflow(steps(["thrown", "duplicate"], atOnce), commitFault) }
  )

/** Workflows of every kind of step; where the model cannot tell one result, they are to be left out. */
export const arbitrary: FastCheck.Arbitrary<Workflow> = workflows(concurrent)

/** Workflows in which one thing happens after the other. */
export const sequential: FastCheck.Arbitrary<Workflow> = workflows([])
