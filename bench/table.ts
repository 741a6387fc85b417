/**
 * Formats results as a table.
 */
import { aligned } from "../test/tools/table.js"
import type { Result } from "./results.js"

const columns = [
  "row",
  "metric",
  "raw",
  "ours",
  "ratio",
  "quartiles",
  "control",
  "bare Effect",
  "guarded",
  "effect-mongodb",
  "goal",
  ""
]

/** The results as a table: figures are medians, ratios those of ours to raw, round by round. */
export const table = (results: ReadonlyArray<Result>): string => aligned([columns, ...results.map(cells)], 2).join("\n")

const cells = (result: Result): ReadonlyArray<string> => {
  const { bare, control, effectMongodbAgainstRaw: theirs, goal, guarded, metric, name, number } = result
  const { ours, q25, q75, ratio, raw } = result
  return [
    `${String(number).padStart(2)} ${name}`,
    metric,
    amount(raw),
    amount(ours),
    ratio.toFixed(3),
    `${q25.toFixed(2)}–${q75.toFixed(2)}`,
    control.toFixed(3),
    bare === null ? "" : isRatio(goal) ? bare.ratio.toFixed(3) : amount(bare.value),
    guarded === null ? "" : guarded.ratio.toFixed(3),
    theirs === null ? "" : theirs.ratio.toFixed(3),
    goalOf(result),
    goal === null ? "" : goal.isMet ? "met" : "missed"
  ]
}

// Where a goal is in units, so is the cell of bare Effect.
const isRatio = (goal: Result["goal"]): boolean => goal === null || goal.of === "ratio"

const goalOf = ({ better, goal }: Result): string => {
  if (goal === null) return ""
  const bound = `${better === "more" ? "≥" : "≤"} ${goal.bound}`
  return goal.of === "ratio" ? bound : `${goal.of === "difference" ? "ours − raw" : "ours"} ${bound}`
}

/** An amount with three digits, or whole. */
export const amount = (value: number): string =>
  value >= 999.5 ? Math.round(value).toLocaleString("en") : value.toPrecision(3)
