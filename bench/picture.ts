/**
 * Draws the ratios with Vega.
 */
import { writeFileSync } from "node:fs"
import type { Environment } from "./environment.js"
import { printing, root } from "./processes.js"
import { namesInUnits, type Report, type Result } from "./results.js"

/** Where it is, for the page on performance to show. */
const file = `${root}bench/ratios.svg`

/** Draws it, in a process of its own: Vega is there only once the benchmark's packages are. */
export const draw = async ({ environment, results }: Report): Promise<void> => {
  const { child, printed } = printing<string>([`${root}bench/vega.js`], root)
  const inUnits = namesInUnits(results)
  const values = results.filter(({ name }) => !inUnits.has(name)).map(mark)
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

const subtitle = ({ date, mongod, node, processors, versions }: Environment): ReadonlyArray<string> => [
  `effect-mongo-session ${versions["effect-mongo-session"]} on mongodb ${versions["mongodb"]}; effect-mongodb ` +
  `${versions["effect-mongodb"]} on mongodb ${versions["effect-mongodb's mongodb"]}`,
  `Node.js ${node.slice(1)}, ${processors} processors, ${mongod ?? "no mongod"}, ${date.slice(0, 10)}`
]
