/**
 * What goes wrong in a storm and when, as a plan that follows from the seed.
 */
import * as Dice from "./dice.js"

/** The faults of a member or of the whole set: one at a time, so that two members can always agree. */
export const heavy = [
  "kill",
  "stop",
  "freeze",
  "step down",
  "partition from members",
  "partition from all",
  "half-open"
] as const

/** The faults of connections and commands: they may meet any of the others. */
export const light = [
  "delay",
  "slow drip",
  "refuse",
  "cut before the request",
  "cut before the reply",
  "fail point: error",
  "fail point: closed connection",
  "fail point: blocked",
  "fail point: write concern error"
] as const

/** What goes wrong. */
export type Kind = (typeof heavy)[number] | (typeof light)[number]

/** One thing that goes wrong. */
export interface Fault {
  readonly kind: Kind
  /** Whom it meets: the primary of that moment, or a member by its number. */
  readonly member: "primary" | number
  /** The milliseconds before it begins, from the end of the one before on. */
  readonly after: number
  /** How many milliseconds it lasts. */
  readonly lasts: number
  /** The command that it meets, where it meets one. */
  readonly command: string
  /** A number that says more, for each kind another thing. */
  readonly size: number
}

/** Two sequences of faults, which run side by side. */
export interface Plan {
  readonly heavy: ReadonlyArray<Fault>
  readonly light: ReadonlyArray<Fault>
}

/** The faults of so many milliseconds. Each kind comes in its turn, in a random order, so that none is left out for long. */
export const plan = (seed: number, millis: number): Plan => ({
  heavy: sequence(Dice.make(seed, 1), heavy, millis, { after: [500, 2500], lasts: [1500, 5000] }),
  light: sequence(Dice.make(seed, 2), light, millis, { after: [50, 800], lasts: [300, 1500] })
})

interface Times {
  readonly after: readonly [number, number]
  readonly lasts: readonly [number, number]
}

const sequence = (dice: Dice.Dice, kinds: ReadonlyArray<Kind>, millis: number, times: Times): ReadonlyArray<Fault> => {
  const faults: Array<Fault> = []
  let bag: Array<Kind> = []
  for (let at = 0;;) {
    if (bag.length === 0) bag = kinds.slice()
    const [kind] = bag.splice(dice.below(bag.length), 1)
    const after = dice.between(...times.after)
    const lasts = dice.between(...times.lasts)
    at += after + lasts
    if (at > millis || kind === undefined) return faults
    faults.push({
      kind,
      member: dice.chance(0.7) ? "primary" : dice.below(3),
      after,
      lasts,
      command: dice.pick(commands),
      size: dice.between(1, 100)
    })
  }
}

const commands = [
  "commitTransaction",
  "commitTransaction",
  "abortTransaction",
  "update",
  "insert",
  "find",
  "getMore"
] as const

/**
 * The code with which a command fails. A fail point does not look at the transaction: what ends one gets no code that says what
 * became of it. A commit that was done, and is repeated, would be told that nothing was committed.
 */
export const codeOf = ({ command, size }: Pick<Fault, "command" | "size">): number => {
  const codes = command === "commitTransaction" || command === "abortTransaction" ? silent : [...silent, ...telling]
  return codes[size % codes.length]!
}

// HostUnreachable, NotWritablePrimary, InterruptedDueToReplStateChange, MaxTimeMSExpired, ShutdownInProgress
const silent: ReadonlyArray<number> = [6, 10107, 11602, 50, 91]

/** WriteConflict, NoSuchTransaction: the server says with them that nothing was committed. */
export const telling: ReadonlyArray<number> = [112, 251]
