/**
 * Why a test comes to an end before its own: thrown, so that no operation of a test can expect it.
 */

/** Something is not as the test expects. */
export class Mismatch extends Error {
  override readonly name = "Mismatch"
}

/** The runner, or the library, does not do what the test asks for, and is not meant to. */
export class Unsupported extends Error {
  override readonly name = "Unsupported"
}

/** Throws for what is not as expected. */
export const ensure: (holds: boolean, problem: string | (() => string)) => asserts holds = (holds, problem) => {
  if (!holds) throw new Mismatch(typeof problem === "string" ? problem : problem())
}

/** Throws where there is a problem. */
export const ensureNone = (problem: string | undefined, where: string): void => {
  if (problem !== undefined) throw new Mismatch(`${where}: ${problem}`)
}
