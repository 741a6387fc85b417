import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as FiberId from "effect/FiberId"
import * as Outcome from "../../src/internal/transaction/outcome.js"

/** All values that each fact can have. */
type Domain<Facts> = { readonly [K in keyof Facts]: ReadonlyArray<Facts[K]> }

/** Facts that a row is about: one value of each, several, or any where it names none. */
type Pattern<Facts> = { readonly [K in keyof Facts]?: Facts[K] | ReadonlyArray<Facts[K]> }

interface Row<Facts, Decision> {
  readonly name: string
  readonly when: Pattern<Facts>
  readonly then: Decision
}

const booleans = [true, false] as const

// Every combination of the facts.
const combinations = <Facts extends object>(domain: Domain<Facts>): ReadonlyArray<Facts> =>
  (Object.keys(domain) as Array<keyof Facts>).reduce<ReadonlyArray<Partial<Facts>>>(
    (found, key) => found.flatMap((facts) => domain[key].map((value) => ({ ...facts, [key]: value }))),
    [{}]
  ) as ReadonlyArray<Facts>

const matches = <Facts extends object>(facts: Facts, when: Pattern<Facts>): boolean =>
  (Object.keys(when) as Array<keyof Facts>).every((key) => {
    const wanted: unknown = when[key]
    return Array.isArray(wanted) ? wanted.includes(facts[key]) : wanted === facts[key]
  })

/** Checks a decision against rows that leave no combination out, and none of which contradicts another. */
const checkTable = <Facts extends object, Decision>(
  decide: (facts: Facts) => Decision,
  domain: Domain<Facts>,
  size: number,
  rows: ReadonlyArray<Row<Facts, Decision>>
): void => {
  const all = combinations(domain)

  it.each(rows)("$name", ({ then, when }) => {
    const met = all.filter((facts) => matches(facts, when))
    expect(met.length).toBeGreaterThan(0)
    expect(met.filter((facts) => decide(facts) !== then)).toEqual([])
  })

  it(`each of the ${size} combinations of facts is in exactly one row`, () => {
    const astray = all.filter((facts) => rows.filter(({ when }) => matches(facts, when)).length !== 1)
    expect(astray).toEqual([])
    expect(new Set(all.map((facts) => JSON.stringify(facts))).size).toBe(size)
  })
}

describe("what becomes of an attempt", () => {
  checkTable(
    Outcome.ofAttempt,
    {
      body: ["success", "failure", "defect", "interrupt"],
      ended: ["no", "aborted", "committed", "unknown", "refused"],
      transient: booleans,
      doomed: booleans,
      rollbackOnly: booleans,
      mayRetry: booleans
    },
    320,
    [
      {
        name: "an interrupted body is rolled back and never run again, whatever else was seen",
        when: { ended: "no", body: "interrupt" },
        then: "rollback"
      },
      {
        name: "a body with a defect is rolled back and never run again, whatever else was seen",
        when: { ended: "no", body: "defect" },
        then: "rollback"
      },
      {
        name: "a body that failed for a reason of its own is rolled back",
        when: { ended: "no", body: "failure", transient: false },
        then: "rollback"
      },
      {
        name: "a body that failed for a transient reason is run again while time is left",
        when: { ended: "no", body: "failure", transient: true, mayRetry: true },
        then: "retry"
      },
      {
        name: "a body that failed for a transient reason is given up when attempts or time have run out",
        when: { ended: "no", body: "failure", transient: true, mayRetry: false },
        then: "giveUp"
      },
      {
        name: "a body that succeeded and asked for it is rolled back, even if it saw failures",
        when: { ended: "no", body: "success", rollbackOnly: true },
        then: "rollback"
      },
      {
        name: "a body that succeeded over a transient failure is run again while time is left",
        when: { ended: "no", body: "success", rollbackOnly: false, transient: true, mayRetry: true },
        then: "retry"
      },
      {
        name: "a body that succeeded over a transient failure is given up when attempts or time have run out",
        when: { ended: "no", body: "success", rollbackOnly: false, transient: true, mayRetry: false },
        then: "giveUp"
      },
      {
        name: "a body that succeeded over a failure that stays is doomed",
        when: { ended: "no", body: "success", rollbackOnly: false, transient: false, doomed: true },
        then: "doom"
      },
      {
        name: "a body that succeeded and saw nothing but success is committed",
        when: { ended: "no", body: "success", rollbackOnly: false, transient: false, doomed: false },
        then: "commit"
      },
      {
        name: "a body that committed by hand keeps its result, for to run it again would do it twice",
        when: { ended: "committed" },
        then: "keep"
      },
      {
        name: "a body whose own commit may have happened keeps its result, for to run it again might do it twice",
        when: { ended: "unknown" },
        then: "keep"
      },
      {
        name: "a body that rolled back by hand keeps its result, unless it failed",
        when: { ended: ["aborted", "refused"], body: ["success", "defect", "interrupt"] },
        then: "keep"
      },
      {
        name: "a body that rolled back by hand and failed for a reason of its own keeps its failure",
        when: { ended: ["aborted", "refused"], body: "failure", transient: false },
        then: "keep"
      },
      {
        name: "a body that rolled back by hand and failed for a transient reason is run again while time is left",
        when: { ended: ["aborted", "refused"], body: "failure", transient: true, mayRetry: true },
        then: "retry"
      },
      {
        name: "a body that rolled back by hand and failed for a transient reason is given up when time has run out",
        when: { ended: ["aborted", "refused"], body: "failure", transient: true, mayRetry: false },
        then: "giveUp"
      }
    ]
  )
})

describe("what becomes of a transaction whose commit was sent", () => {
  checkTable(
    Outcome.ofCommit,
    {
      answer: ["ok", "failed"],
      transient: booleans,
      unknown: booleans,
      final: booleans,
      timeLeft: booleans,
      mayRetry: booleans
    },
    64,
    [
      { name: "a commit that succeeded is committed", when: { answer: "ok" }, then: "committed" },
      {
        name: "a commit of unknown result is sent again while time is left, also when it is called transient",
        when: { answer: "failed", unknown: true, final: false, timeLeft: true },
        then: "commitAgain"
      },
      {
        name: "a commit of unknown result is asked about when no time is left to send it again",
        when: { answer: "failed", unknown: true, final: false, timeLeft: false },
        then: "ask"
      },
      {
        name: "a commit of unknown result that was answered for good is asked about, however much time is left",
        when: { answer: "failed", unknown: true, final: true },
        then: "ask"
      },
      {
        name: "a commit that failed for a transient reason has committed nothing, so the whole is run again",
        when: { answer: "failed", unknown: false, transient: true, mayRetry: true },
        then: "retry"
      },
      {
        name: "a commit that failed for a transient reason is given up when attempts or time have run out",
        when: { answer: "failed", unknown: false, transient: true, mayRetry: false },
        then: "giveUp"
      },
      {
        name: "a commit that the server refused for good is a failure",
        when: { answer: "failed", unknown: false, transient: false },
        then: "fail"
      }
    ]
  )
})

describe("what becomes of a transaction when it was asked whether its commit had happened", () => {
  checkTable(
    Outcome.ofVerified,
    {
      answer: ["committed", "notCommitted", "silent"],
      late: ["aborted", "committed", "unknown"],
      mayRetry: booleans
    },
    18,
    [
      {
        name: "a commit of which the server says that it has happened has happened, whatever the program says",
        when: { late: "committed" },
        then: "committed"
      },
      {
        name: "where the server says nothing, the program is believed that it has happened",
        when: { answer: "committed", late: "unknown" },
        then: "committed"
      },
      {
        name: "a commit that may still happen late stays unknown, for to run the body again might do it twice",
        when: { answer: ["notCommitted", "silent"], late: "unknown" },
        then: "unknown"
      },
      {
        name:
          "a transaction that can't be committed any more is run again while time is left, whatever the program says",
        when: { late: "aborted", mayRetry: true },
        then: "retry"
      },
      {
        name: "a transaction that can't be committed any more is given up when attempts or time have run out",
        when: { late: "aborted", mayRetry: false },
        then: "giveUp"
      }
    ]
  )
})

describe("how a body came to its end", () => {
  type Leaf = "empty" | "failure" | "defect" | "interrupt"
  type Tree =
    | { readonly leaf: Leaf }
    | { readonly how: "sequential" | "parallel"; readonly left: Tree; readonly right: Tree }

  const leaves = {
    empty: Cause.empty,
    failure: Cause.fail("no"),
    defect: Cause.die("bug"),
    interrupt: Cause.interrupt(FiberId.none)
  }

  const trees = FastCheck.letrec<{ tree: Tree }>((tie) => ({
    tree: FastCheck.oneof(
      { maxDepth: 5 },
      FastCheck.record({ leaf: FastCheck.constantFrom<Leaf>("empty", "failure", "defect", "interrupt") }),
      FastCheck.record({
        how: FastCheck.constantFrom("sequential" as const, "parallel" as const),
        left: tie("tree"),
        right: tie("tree")
      })
    )
  })).tree

  const causeOf = (tree: Tree): Cause.Cause<string> =>
    "leaf" in tree ? leaves[tree.leaf] : Cause[tree.how](causeOf(tree.left), causeOf(tree.right))

  const leavesOf = (tree: Tree): ReadonlyArray<Leaf> =>
    "leaf" in tree ? [tree.leaf] : [...leavesOf(tree.left), ...leavesOf(tree.right)]

  it("a success is a success, also with nothing in it", () => {
    expect(Outcome.bodyExit(Exit.void, false, () => false)).toBe("success")
    expect(Outcome.bodyExit(Exit.succeed(new Error("a value")), false, () => false)).toBe("success")
  })

  it("beside a failure, interruptions by the body's own fibers do not count; alone they do, and so do a stranger's", () => {
    const inner = FiberId.unsafeMake()
    const stranger = FiberId.unsafeMake()
    const kind = (cause: Cause.Cause<string>, isInterrupted = false) =>
      Outcome.bodyExit(Exit.failCause(cause), isInterrupted, ({ id }) => id === inner.id)
    const beside = Cause.parallel(Cause.fail("no"), Cause.interrupt(inner))
    expect(kind(beside)).toBe("failure")
    expect(kind(Cause.sequential(beside, Cause.die("bug")))).toBe("defect")
    expect(kind(beside, true)).toBe("interrupt")
    expect(kind(Cause.interrupt(inner))).toBe("interrupt")
    expect(kind(Cause.parallel(beside, Cause.interrupt(stranger)))).toBe("interrupt")
    expect(kind(Cause.parallel(beside, Cause.interrupt(FiberId.composite(inner, stranger))))).toBe("interrupt")
  })

  it("in a mixed cause, of whatever shape, an interruption counts before a defect, and that before a failure", () => {
    const seen = new Set<Outcome.BodyExit>()
    FastCheck.assert(
      FastCheck.property(trees, (tree) => {
        const found = leavesOf(tree)
        const expected = found.includes("interrupt") ? "interrupt" : found.includes("defect") ? "defect" : "failure"
        seen.add(expected)
        expect(Outcome.bodyExit(Exit.failCause(causeOf(tree)), false, () => false)).toBe(expected)
      }),
      { numRuns: 1_000 }
    )
    expect(seen).toEqual(new Set(["interrupt", "defect", "failure"]))
  })
})
