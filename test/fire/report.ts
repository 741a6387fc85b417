/**
 * The report of storms, as a page.
 */
import type { Violation } from "./checker/violation.js"

/** The heap at a moment. */
export interface Heap {
  readonly minute: number
  readonly bytes: number
}

type Rows = ReadonlyArray<readonly [string, number]>

/** What there is to tell of the storm with one seed. */
export interface Facts {
  readonly version: string
  readonly node: string
  readonly processors: number
  readonly seed: number
  readonly minutes: number
  readonly rounds: number
  /** How long the faults of a round went on. */
  readonly seconds: number
  readonly faults: Rows
  readonly operations: Rows
  readonly violations: ReadonlyArray<Violation & { readonly seed: number }>
  readonly rejections: number
  readonly heap: ReadonlyArray<Heap>
  /** Whether it went on for as long as it was to. */
  readonly isDone: boolean
}

/** The page. */
export const render = (runs: ReadonlyArray<Facts>): string => {
  const [first] = runs
  if (first === undefined) return ""
  const of = (name: string, each: (facts: Facts) => string | number) => [name, ...runs.map(each)]
  const seeds = runs.map(({ seed }) => seed).join(",")
  const longest = Math.floor(Math.max(...runs.map(({ minutes }) => minutes)))
  const head = (name: string) => [name, ...runs.map(({ seed }) => `seed ${seed}`)]
  const violations = runs.flatMap((run) => run.violations)
  return `# Storm

What the library promises, held against what a network, the members of a set and its callers do to it. 64 fibers and more use
three clients and a second process, while networks delay, drip, hold, refuse and cut, members are killed, stopped, frozen and
parted from each other, primaries step down, and commands fail. After each round the set is whole again, and everything that
was told is checked against what is there.

\`npm run fire -- --minutes ${
    Math.max(1, longest)
  } --seeds ${seeds} --round ${first.seconds}\` makes this page again, with \`--report docs/storm.md\`.
The seed decides which faults come when and what each fiber does; how they meet differs from run to run. Each round has the
next seed.

MongoDB ${first.version}, a set of three; Node ${first.node}, ${first.processors} processors.

${
    table(head("storm"), [
      of("minutes", ({ minutes }) => minutes.toFixed(1)),
      of(`rounds of ${first.seconds} s`, ({ rounds }) => rounds),
      of("faults", ({ faults }) => sum(faults.filter(([name]) => !name.includes("not done")))),
      of("operations and transactions", ({ operations }) => sum(operations.filter(([name]) => !isFinding(name)))),
      of("**violations**", ({ violations }) => `**${violations.length}**`),
      of("**unhandled rejections**", ({ rejections }) => `**${rejections}**`),
      of("heap at the end, MiB", ({ heap }) => mib(heap.at(-1)?.bytes ?? 0)),
      of("heap over the last half, MiB a minute", ({ heap }) => slope(lastHalf(heap)).toFixed(2))
    ])
  }

## What is checked

- Lists that transactions append to and read, in the manner of Elle: no G0, G1a, G1b, G1c, lost update or other G-single, nothing
  else that snapshot isolation forbids, and the order of real time for transactions that write. Write skew is counted.
- A bank: no money is made or lost, the books and every audit agree. Half of the transfers find out by \`verifyCommit\` whether a
  commit of unknown result happened.
- Transactions that are started and ended by hand: committed again while the result is unknown, aborted, or left to the session.
- What a caller was told: success is there, failure is not there, a \`CommitUnknown\` is there as a whole or not at all.
- Hooks: \`onCommit\` ran once and \`onRollback\` never, or the other way round, or neither where the outcome is unknown.
- Sessions that several fibers share: nothing that is written beside a transaction gets into it, and no two commands of one
  session are in flight at once.
- An outbox: nothing lost, first deliveries in the order of the oplog. A consumer: each change handled once.
- Causal tokens: reads at secondaries, in another process and by another client, see what was written and read before.
- Change streams: two followers see each event once, in one order. Cursors: each document once.
- Nothing is left: no transaction on the server, no session of a client. Nothing is stuck. No defect, no unexpected error. What
  is counted apart is a transaction that a command has started on the server which was held back for more than 5 seconds and
  never answered: no client can end what it cannot know to be there, and the server ends it after its own time.

## Faults

${table(head("fault"), side(runs.map(({ faults }) => faults)))}

## Operations and transactions

${table(head("what, and how it ended"), side(runs.map(({ operations }) => operations)))}

## Violations

${violations.length === 0 ? "None." : violations.slice(0, mostTold).map(line).join("\n")}

## Heap

What is reachable after each round when the garbage is collected, in MiB.

${
    table(
      head("round"),
      Array.from({ length: Math.max(...runs.map(({ heap }) => heap.length)) }, (_, round) =>
        of(String(round + 1), ({ heap }) => heap[round] === undefined ? "" : mib(heap[round].bytes)))
    )
  }
`
}

const mostTold = 30

const line = ({ anomaly, detail, seed }: Facts["violations"][number]): string =>
  `- seed ${seed}: ${anomaly}: ${detail.split("\n")[0]}`

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)

const lastHalf = (heap: ReadonlyArray<Heap>): ReadonlyArray<Heap> => heap.slice(Math.floor(heap.length / 2))

/** By how many MiB a minute the heap grows: the slope of the line that fits best. */
export const slope = (heap: ReadonlyArray<Heap>): number => {
  const mean = (of: (one: Heap) => number): number => heap.reduce((total, one) => total + of(one), 0) / heap.length
  const [minute, bytes] = [mean((one) => one.minute), mean((one) => one.bytes)]
  const spread = mean((one) => (one.minute - minute) ** 2)
  return spread === 0 ? 0 : mean((one) => (one.minute - minute) * (one.bytes - bytes)) / spread / 2 ** 20
}

// What was found out afterwards is no operation of its own.
const isFinding = (name: string): boolean =>
  /unknown, found|write skew|delivered|handled|followed|verified: (not )?committed/.test(name)

const sum = (of: Rows): number => of.reduce((total, [, n]) => total + n, 0)

// The counts of all, side by side.
const side = (all: ReadonlyArray<Rows>): ReadonlyArray<ReadonlyArray<string | number>> =>
  [...new Set(all.flatMap((rows) => rows.map(([name]) => name)))].sort().map((name) => [
    name,
    ...all.map((rows) => rows.find(([other]) => other === name)?.[1] ?? 0)
  ])

const table = (head: ReadonlyArray<string>, of: ReadonlyArray<ReadonlyArray<string | number>>): string =>
  [head, head.map((_, column) => column === 0 ? "---" : "---:"), ...of].map((row) => `| ${row.join(" | ")} |`).join(
    "\n"
  )
