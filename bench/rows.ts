/**
 * The rows of the table, with the goal of each.
 */
import type { GroupName } from "./groups.js"

/** A bound, for the ratio of ours to raw, for what ours is above raw, or for ours by itself. */
export interface Goal {
  readonly of: "ratio" | "difference" | "ours"
  readonly bound: number
}

export interface Metric {
  /** What it is called in the results, with its unit. */
  readonly name: string
  /** The figure of an arm that it is made of. */
  readonly figure: "rate" | "time" | "cpu" | "p99" | "commands"
  /** How many units of the figure make one of the metric's. Default: 1. */
  readonly unit?: number
  readonly better: "more" | "less"
  readonly goal?: Goal
}

export interface Row {
  readonly number: number
  readonly name: string
  /** Rows of one group are measured together, against the same raw arm. */
  readonly group: GroupName
  /** The arm that is ours. */
  readonly ours: string
  /**
   * The arm that does it by nothing but Effect and the driver, without turns, errors or interruption: what no library of
   * effects can stay below.
   */
  readonly bare?: string
  /** The arm that promises what the library does, by plain Effect code: what a library that promises it hardly stays below. */
  readonly guarded?: string
  /** The arm that is effect-mongodb's, if it can do this. */
  readonly effectMongodb?: string
  readonly metrics: ReadonlyArray<Metric>
}

const ratio = (bound: number): Goal => ({ of: "ratio", bound })

const rate = (name: string, goal?: Goal): Metric => ({
  name,
  figure: "rate",
  better: "more",
  ...(goal === undefined ? {} : { goal })
})

const cpu = (of: string, goal?: Goal): Metric => ({
  name: `CPU µs/${of}`,
  figure: "cpu",
  better: "less",
  ...(goal === undefined ? {} : { goal })
})

const operations = (cpuAtMost?: Goal) => [rate("operations/s"), cpu("operation", cpuAtMost)]

const documents = (atLeast: Goal) => [rate("documents/s", atLeast), cpu("document")]

const transactions = (goals: { readonly rate?: Goal; readonly cpu?: Goal } = {}) => [
  rate("transactions/s", goals.rate),
  cpu("transaction", goals.cpu)
]

// A row runs against the null responder unless its name says mongod.
const unnumbered: ReadonlyArray<Omit<Row, "number">> = [
  {
    name: "findOne in session c=1",
    group: "findOne",
    ours: "ours",
    bare: "bare",
    guarded: "guarded",
    effectMongodb: "untyped",
    metrics: operations(ratio(1.15))
  },
  {
    name: "findOne in session c=1, with schema",
    group: "findOne",
    ours: "with schema",
    bare: "bare with schema",
    effectMongodb: "with schema",
    metrics: operations(ratio(1.15))
  },
  {
    name: "findOne in session c=1, Session.use",
    group: "findOne",
    ours: "Session.use",
    bare: "bare",
    metrics: operations()
  },
  {
    name: "findOne in session c=1, with a tracer",
    group: "findOne traced",
    ours: "ours",
    bare: "bare",
    metrics: operations(ratio(1.32))
  },
  {
    name: "insertOne in session c=32",
    group: "insertOne",
    ours: "ours",
    bare: "bare",
    guarded: "guarded",
    effectMongodb: "untyped",
    metrics: operations(ratio(1.18))
  },
  {
    name: "stream 100,000 documents",
    group: "stream",
    ours: "ours",
    bare: "bare",
    effectMongodb: "untyped",
    metrics: documents(ratio(1.1))
  },
  {
    name: "stream 100,000 documents, with schema",
    group: "stream",
    ours: "with schema",
    bare: "bare with schema",
    effectMongodb: "with schema",
    metrics: documents(ratio(0.97))
  },
  {
    name: "transaction 2 updates c=1",
    group: "transaction",
    ours: "ours",
    bare: "bare",
    guarded: "guarded",
    metrics: transactions({ cpu: ratio(1.15) })
  },
  {
    name: "transaction 2 updates c=1, Session.use",
    group: "transaction",
    ours: "Session.use",
    bare: "bare",
    metrics: transactions()
  },
  {
    name: "transaction 2 updates c=16",
    group: "transaction x16",
    ours: "ours",
    bare: "bare",
    guarded: "guarded",
    metrics: transactions({ cpu: ratio(1.2) })
  },
  {
    name: "transaction 2 updates c=1, mongod",
    group: "transaction mongod",
    ours: "ours",
    bare: "bare",
    guarded: "guarded",
    metrics: transactions({ rate: ratio(0.9), cpu: ratio(1.3) })
  },
  {
    name: "transaction 2 updates c=16, mongod",
    group: "transaction x16 mongod",
    ours: "ours",
    bare: "bare",
    guarded: "guarded",
    metrics: transactions({ rate: ratio(0.87), cpu: ratio(1.35) })
  },
  {
    name: "contended bank, 16 fibers, 10 accounts, mongod",
    group: "bank",
    ours: "ours",
    metrics: [
      rate("committed/s", ratio(1.3)),
      { name: "p99 ms", figure: "p99", better: "less", goal: ratio(0.7) },
      cpu("transaction")
    ]
  },
  {
    name: "open + close a session",
    group: "openClose",
    ours: "ours",
    bare: "bare",
    metrics: [{ name: "µs", figure: "time", better: "less", goal: { of: "ours", bound: 20 } }, cpu("session")]
  },
  {
    name: "keep 10,000 idle sessions alive, mongod",
    group: "keepAlive",
    ours: "ours",
    metrics: [
      { name: "commands", figure: "commands", better: "less", goal: { of: "ours", bound: 1 } },
      { name: "CPU ms/tick", figure: "cpu", unit: 1000, better: "less", goal: { of: "ours", bound: 50 } }
    ]
  },
  {
    name: "cold import",
    group: "coldImport",
    ours: "ours",
    effectMongodb: "ours",
    metrics: [
      { name: "ms", figure: "time", unit: 1000, better: "less", goal: { of: "difference", bound: 25 } },
      { name: "CPU ms", figure: "cpu", unit: 1000, better: "less" }
    ]
  }
]

export const rows: ReadonlyArray<Row> = unnumbered.map((row, index) => ({ number: index + 1, ...row }))
