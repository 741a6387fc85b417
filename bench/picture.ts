/**
 * The ratios as a picture, drawn by Vega.
 */
import { writeFileSync } from "node:fs"
import type { Environment } from "./environment.js"
import { printing, root } from "./processes.js"
import type { Result } from "./results.js"

/** Where it is, for the README to show. */
const file = `${root}bench/ratios.svg`

/** Draws it, in a process of its own: Vega is there only once the benchmark's packages are. */
export const draw = async (
  { environment, results }: { readonly environment: Environment; readonly results: ReadonlyArray<Result> }
): Promise<void> => {
  const { child, printed } = printing<string>([`${root}bench/vega.js`], root)
  // What is not to be a ratio would lie far off, or mean little.
  const others = new Set(results.filter(({ goal }) => goal !== null && goal.of !== "ratio").map(({ name }) => name))
  const values = results.filter(({ name }) => !others.has(name)).map(mark)
  child.stdin?.end(JSON.stringify({ values, subtitle: subtitle(environment) }))
  writeFileSync(file, `${await printed}\n`)
}

const mark = (result: Result) => {
  const { better, controlQ25, controlQ75, effectMongodbAgainstRaw, goal, metric, name, q25, q75, ratio } = result
  return {
    row: `${name}: ${metric}`,
    panel: better,
    ratio,
    q25,
    q75,
    controlQ25,
    controlQ75,
    theirs: effectMongodbAgainstRaw?.ratio ?? null,
    goal: goal?.bound ?? null
  }
}

const subtitle = ({ date, node, processors, versions }: Environment): string =>
  `effect-mongo-session ${versions["effect-mongo-session"]} on mongodb ${versions["mongodb"]}; effect-mongodb ` +
  `${versions["effect-mongodb"]} on mongodb ${versions["effect-mongodb's mongodb"]}; Node.js ${node}, ` +
  `${processors} processors, ${date.slice(0, 10)}`
