/**
 * `npm run scale -- 1000 10000 100000`: what so many open sessions cost, as rows of a table. Closing is measured for up to 10,000:
 * the driver's pool looks through all that it has at each return.
 */
import * as Effect from "effect/Effect"
import { type Costs, costs, exponent, open } from "../support/fire/measure.js"

const mostClosed = 10_000

const sizes = process.argv.slice(2).map(Number)
if (sizes.length === 0 || !sizes.every((size) => size > 0)) {
  console.error("npm run scale -- 1000 10000 100000")
  process.exit(2)
}

const micros = (time: number | undefined): string => time === undefined ? "not measured" : time.toFixed(1)

const row = ({ bytes, closing, commands, driverBytes, driverClosing, opening, sessions }: Costs): string =>
  `| ${
    [
      sessions.toLocaleString("en"),
      bytes,
      bytes - driverBytes,
      commands,
      micros(opening),
      micros(closing),
      micros(driverClosing)
    ].join(" | ")
  } |`

// Until the process ends: closing all of them is what is not measured.
const kept = (size: number): Promise<Costs> =>
  new Promise((resolve, reject) => {
    const held = Effect.scoped(
      Effect.flatMap(open(size), (found) => Effect.zipRight(Effect.sync(() => resolve(found)), Effect.never))
    )
    Effect.runPromise(held).catch(reject)
  })

// What is run for the first time is slower than all that follows.
await Effect.runPromise(costs(500))
console.log(
  "| open sessions | heap each, B | above the driver, B | commands a tick | opening, µs | closing, µs | driver alone |"
)
console.log("|--:|--:|--:|--:|--:|--:|--:|")
const all: Array<Costs> = []
for (const size of sizes) {
  all.push(size > mostClosed ? await kept(size) : await Effect.runPromise(costs(size)))
  console.log(row(all.at(-1)!))
}
const power = (of: (costs: Costs) => number | undefined): string => {
  const known = all.flatMap((costs) => {
    const each = of(costs)
    return each === undefined ? [] : [[costs.sessions, each] as const]
  })
  const [first, last] = [known[0], known.at(-1)]
  return first === undefined || last === undefined || first === last ? "unknown" : exponent(first, last).toFixed(2)
}
console.log(
  `exponents of the whole: opening ${power(({ opening }) => opening)}, closing ${power(({ closing }) => closing)}, ` +
    `closing by the driver alone ${power(({ driverClosing }) => driverClosing)}`
)
process.exit(0)
