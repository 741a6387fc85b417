/**
 * Quartiles and ratios of repeated measurements.
 */
import * as d3 from "d3-array"

/** The middle of a sample, and where its quarters end. */
export interface Quartiles {
  readonly q25: number
  readonly median: number
  readonly q75: number
}

/** The value below which the given part of the sample lies, between two of its values by linear interpolation. */
export const quantile = (sample: ReadonlyArray<number>, part: number): number => {
  const value = d3.quantile(sample, part)
  if (value === undefined) throw new RangeError("a quantile of nothing")
  return value
}

export const quartiles = (sample: ReadonlyArray<number>): Quartiles => ({
  q25: quantile(sample, 0.25),
  median: quantile(sample, 0.5),
  q75: quantile(sample, 0.75)
})

export const median = (sample: ReadonlyArray<number>): number => quantile(sample, 0.5)

/**
 * The ratios of two samples, round by round: what slows a whole round down, like another program, slows both down, and is
 * not in their ratio.
 */
export const ratios = (sample: ReadonlyArray<number>, base: ReadonlyArray<number>): ReadonlyArray<number> => {
  if (sample.length !== base.length) throw new RangeError(`${sample.length} rounds against ${base.length}`)
  return sample.map((value, round) => value / (base[round] ?? Number.NaN))
}
