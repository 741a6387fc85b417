/**
 * Measures ways to do the same thing against each other: in rounds, in each of which every way has its turn, in random
 * order.
 */

/** Numbers that tell how a way did in one round, by name. */
export type Figures = Readonly<Record<string, number>>

/** One way to do a thing. */
export interface Arm {
  readonly name: string
  /** Does it so many times. What it gives is added to its figures, or takes their place. */
  readonly run: (times: number) => Promise<Figures | void>
}

/** How much is measured. */
export interface Size {
  readonly rounds: number
  /**
   * Rounds before them, which do not count. All arms run the driver's code, but only one runs the library's: it takes
   * thousands of turns until that is compiled as well.
   */
  readonly warmup: number
  /** How many times each arm does the thing in each round. */
  readonly times: number
  /** So long after the warm-up no further round begins, if there were {@link fewest} of them: machines may be busy. */
  readonly seconds: number
}

/** Fewer rounds say nothing of how far they lie apart. */
export const fewest = 3

/** The figures of each arm, round by round. */
export type Samples = Readonly<Record<string, ReadonlyArray<Figures>>>

/** Measures arms. */
export const measure = async (arms: ReadonlyArray<Arm>, { rounds, seconds, times, warmup }: Size): Promise<Samples> => {
  const samples = Object.fromEntries(arms.map(({ name }) => [name, new Array<Figures>()]))
  let started = performance.now()
  const isLate = () => performance.now() - started > seconds * 1000
  for (let round = -warmup; round < rounds; round++) {
    if (round === 0) started = performance.now()
    if (round >= fewest && isLate()) break
    for (const arm of shuffled(arms)) {
      const figures = await once(arm, times)
      if (round >= 0) samples[arm.name]?.push(figures)
    }
  }
  return samples
}

const once = async (arm: Arm, times: number): Promise<Figures> => {
  const cpu = process.cpuUsage()
  const started = performance.now()
  const own = await arm.run(times)
  const seconds = (performance.now() - started) / 1000
  const { system, user } = process.cpuUsage(cpu)
  return { rate: times / seconds, time: seconds * 1e6 / times, cpu: (user + system) / times, ...own }
}

const shuffled = <A>(items: ReadonlyArray<A>): ReadonlyArray<A> =>
  items
    .map((item) => ({ item, place: Math.random() }))
    .sort((left, right) => left.place - right.place)
    .map(({ item }) => item)
