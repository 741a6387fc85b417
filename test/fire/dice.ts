/**
 * Choices that follow from a seed.
 */
import { PCGRandom } from "effect/Utils"

/** A source of choices. */
export interface Dice {
  /** A whole number from 0 on, less than `count`. */
  readonly below: (count: number) => number
  /** A whole number from `low` to `high`, both included. */
  readonly between: (low: number, high: number) => number
  /** Whether what happens so often, from 0 to 1, happens now. */
  readonly chance: (often: number) => boolean
  readonly pick: <A>(of: readonly [A, ...ReadonlyArray<A>]) => A
}

/** The dice of a part of something that has a seed: the same parts get the same choices. */
export const make = (seed: number, ...part: ReadonlyArray<number>): Dice => {
  const random = new PCGRandom(part.reduce(mixed, seed))
  const below = (count: number): number => Math.floor(random.number() * count)
  return {
    below,
    between: (low, high) => low + below(high - low + 1),
    chance: (often) => random.number() < often,
    pick: (of) => of[below(of.length)] ?? of[0]
  }
}

// Neighbouring numbers give seeds far apart.
const mixed = (
  seed: number,
  part: number
): number => (Math.imul(seed ^ Math.imul(part + 1, 0x9e3779b1), 0x85ebca6b) >>> 0)
