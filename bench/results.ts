/**
 * Computes medians, ratios and goals from the measurements.
 */
import type { Environment } from "./environment.js"
import type { Samples } from "./rounds.js"
import type { Goal, Metric, Row } from "./rows.js"
import { median, quartiles, ratios } from "./statistics.js"

/** An arm against the raw driver, in medians: of the values, and of the ratios of each round. */
export interface Comparison {
  readonly raw: number
  readonly value: number
  readonly ratio: number
  readonly q25: number
  readonly q75: number
  /** The ratio of raw to raw: how far from 1 noise alone gets. */
  readonly control: number
  readonly controlQ25: number
  readonly controlQ75: number
}

export interface Result {
  readonly number: number
  readonly name: string
  readonly metric: string
  readonly better: Metric["better"]
  readonly raw: number
  readonly ours: number
  /** What effect-mongodb makes of it, on the driver that it runs on; null where it can't do it. */
  readonly effectMongodb: number | null
  readonly ratio: number
  readonly control: number
  readonly q25: number
  readonly q75: number
  readonly controlQ25: number
  readonly controlQ75: number
  readonly rounds: number
  /** The least that an effect can take, against the raw driver; null where that is not measured. */
  readonly bare: Comparison | null
  /** Plain Effect code that promises the same, against the raw driver; null where that is not measured. */
  readonly guarded: Comparison | null
  /** effect-mongodb against the raw driver of its own version. */
  readonly effectMongodbAgainstRaw: Comparison | null
  readonly goal: (Goal & { readonly isMet: boolean }) | null
}

/** All of a run. */
export interface Report {
  readonly environment: Environment
  readonly results: ReadonlyArray<Result>
  /** The rows that could not be measured. */
  readonly failed: ReadonlyArray<{ readonly name: string; readonly reason: string }>
  /** Whether every row was measured, in full. */
  readonly isWhole: boolean
}

/** The rows whose goals are not ratios: their ratios would lie far off, or mean little. */
export const namesInUnits = (results: ReadonlyArray<Result>): ReadonlySet<string> =>
  new Set(results.filter(({ goal }) => goal !== null && goal.of !== "ratio").map(({ name }) => name))

/** The results of a row. */
export const resultsOf = (
  row: Row,
  samples: Samples,
  effectMongodb: Samples | undefined
): ReadonlyArray<Result> =>
  row.metrics.map((metric) => {
    const { value: ours, ...compared } = compare(samples, row.ours, metric)
    const theirs = effectMongodb === undefined || row.effectMongodb === undefined
      ? null
      : compare(effectMongodb, row.effectMongodb, metric)
    const { number, name } = row
    return {
      number,
      name,
      metric: metric.name,
      better: metric.better,
      ours,
      ...compared,
      effectMongodb: theirs === null ? null : theirs.value,
      bare: row.bare === undefined ? null : compare(samples, row.bare, metric),
      guarded: row.guarded === undefined ? null : compare(samples, row.guarded, metric),
      rounds: samples["raw"]?.length ?? 0,
      effectMongodbAgainstRaw: theirs,
      goal: metric.goal === undefined
        ? null
        : {
          ...metric.goal,
          isMet: isMet(metric.goal, metric.better, { ours, raw: compared.raw, ratio: compared.ratio })
        }
    }
  })

const compare = (samples: Samples, arm: string, { figure, unit = 1 }: Metric): Comparison => {
  const of = (name: string): ReadonlyArray<number> =>
    (samples[name] ?? []).map((figures) => (figures[figure] ?? Number.NaN) / unit)
  const raw = of("raw")
  const ratio = quartiles(ratios(of(arm), raw))
  const control = quartiles(ratios(of("control"), raw))
  return {
    raw: median(raw),
    value: median(of(arm)),
    ratio: ratio.median,
    q25: ratio.q25,
    q75: ratio.q75,
    control: control.median,
    controlQ25: control.q25,
    controlQ75: control.q75
  }
}

const isMet = (
  { bound, of }: Goal,
  better: Metric["better"],
  { ours, ratio, raw }: { readonly ours: number; readonly raw: number; readonly ratio: number }
): boolean => {
  const reached = { ours, ratio, difference: ours - raw }[of]
  return better === "more" ? reached >= bound : reached <= bound
}
