/**
 * How long tests are that get better by being longer: `FIRE=long` runs the whole of them.
 */

/** Whether the long forms are to be run. */
export const isLong = process.env["FIRE"] === "long"

/** A number of repetitions: a third of it usually. */
export const often = (whole: number): number => isLong ? whole : Math.ceil(whole / 3)
