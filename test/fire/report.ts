/**
 * The report of a storm, as a page.
 */
import { cpus } from "node:os"
import type { Tally } from "../support/watch/tally.js"
import type { Violation } from "./checker/violation.js"

/** The heap at a moment. */
export interface Heap {
  readonly minute: number
  readonly bytes: number
}

/** What there is to tell. */
export interface Facts {
  readonly version: string
  readonly seed: number
  readonly minutes: number
  readonly rounds: number
  /** How long the faults of a round went on. */
  readonly seconds: number
  readonly counts: { readonly faults: Tally; readonly operations: Tally }
  readonly violations: ReadonlyArray<Violation & { readonly seed: number }>
  readonly rejections: number
  readonly heap: ReadonlyArray<Heap>
}

/** The page. */
export const render = (facts: Facts): string => {
  const { counts, heap, minutes, rejections, rounds, seconds, seed, version, violations } = facts
  const faults = counts.faults.rows()
  const operations = counts.operations.rows()
  return `# Storm

What the library promises, held against what a network, the members of a set and its callers do to it. 64 fibers and more use
three clients and a second process, while networks delay, drip, hold, refuse and cut, members are killed, stopped, frozen and
parted from each other, primaries step down, and commands fail. After each round the set is whole again, and everything that
was told is checked against what is there.

\`npm run fire -- --minutes ${
    Math.ceil(minutes)
  } --seed ${seed} --round ${seconds}\` makes this page again, with \`--report docs/storm.md\`.
The seed decides which faults come when and what each fiber does; how they meet differs from run to run.

- MongoDB ${version}, a set of three; Node ${process.version}, ${cpus().length} processors
- ${minutes.toFixed(1)} minutes, ${rounds} rounds of ${seconds} s, seeds ${seed} to ${seed + rounds - 1}
- violations: **${violations.length}**
- unhandled rejections: **${rejections}**
- faults: ${sum(faults)}
- operations and transactions: ${sum(operations.filter(([name]) => !isFinding(name)))}

## What is checked

- Lists that transactions append to and read, in the manner of Elle: no G0, G1a, G1b, G1c, lost update or other G-single, nothing
  else that snapshot isolation forbids, and the order of real time for transactions that write. Write skew is counted.
- A bank: no money is made or lost, the books and every audit agree.
- What a caller was told: success is there, failure is not there, a \`CommitUnknown\` is there as a whole or not at all.
- Hooks: \`onCommit\` ran once and \`onRollback\` never, or the other way round, or neither where the outcome is unknown.
- Sessions that several fibers share: nothing that is written beside a transaction gets into it, and no two commands of one
  session are in flight at once.
- An outbox: nothing lost, first deliveries in the order of the oplog. A consumer: each change handled once.
- Causal tokens: reads at secondaries, in another process and by another client, see what was written and read before.
- Change streams: two followers see each event once, in one order. Cursors: each document once.
- Nothing is left: no transaction on the server, no session of a client. Nothing is stuck. No defect, no unexpected error.

## Faults

${table(["fault", "times"], faults)}

## Operations and transactions

${table(["what, and how it ended", "times"], operations)}

## Violations

${
    violations.length === 0
      ? "None."
      : violations.map((one) => `- seed ${one.seed}: ${one.anomaly}: ${one.detail.split("\n")[0]}`).join("\n")
  }

## Heap

What is reachable after each round, when the garbage is collected.

${table(["minute", "MiB"], heap.map(({ bytes, minute }) => [minute.toFixed(1), (bytes / 2 ** 20).toFixed(1)]))}
`
}

// What was found out afterwards is no operation of its own.
const isFinding = (name: string): boolean => /unknown, found|write skew|delivered|handled|followed/.test(name)

const sum = (of: ReadonlyArray<readonly [string, number]>): number => of.reduce((total, [, n]) => total + n, 0)

const table = (
  head: readonly [string, string],
  of: ReadonlyArray<readonly [string, string | number]>
): string => [`| ${head.join(" | ")} |`, "|---|---:|", ...of.map((row) => `| ${row.join(" | ")} |`)].join("\n")
