/**
 * Groups of arms that do the same thing against the same server, in one process.
 */
import type { Size } from "./rounds.js"

export interface Group {
  /** The null responder with so many documents in each batch, a mongod, or none. */
  readonly server: { readonly batch: number } | "mongod" | "none"
  readonly size: Size
}

const one = { batch: 1 }

// For the rounds that count. With the warm-up, the whole takes about ten minutes, unless other programs run.
const seconds = 25

const groups = {
  "findOne": { server: one, size: { rounds: 50, warmup: 25, times: 300, seconds } },
  "findOne traced": { server: one, size: { rounds: 50, warmup: 25, times: 300, seconds } },
  "insertOne": { server: one, size: { rounds: 40, warmup: 15, times: 640, seconds } },
  "stream": { server: { batch: 1000 }, size: { rounds: 12, warmup: 2, times: 100_000, seconds } },
  "transaction": { server: one, size: { rounds: 40, warmup: 80, times: 100, seconds } },
  "transaction x16": { server: one, size: { rounds: 40, warmup: 50, times: 160, seconds } },
  "transaction mongod": { server: "mongod", size: { rounds: 30, warmup: 30, times: 100, seconds } },
  "transaction x16 mongod": { server: "mongod", size: { rounds: 30, warmup: 30, times: 160, seconds } },
  // Few rounds of many transfers: the slowest hundredth of few would say nothing.
  "bank": { server: "mongod", size: { rounds: 20, warmup: 6, times: 320, seconds: 2 * seconds } },
  "openClose": { server: one, size: { rounds: 40, warmup: 40, times: 300, seconds } },
  "keepAlive": { server: "mongod", size: { rounds: 3, warmup: 0, times: 1, seconds } },
  "coldImport": { server: "none", size: { rounds: 12, warmup: 1, times: 1, seconds } }
} satisfies Record<string, Group>

export type GroupName = keyof typeof groups

export const group = (name: GroupName): Group => groups[name]

/** So little of it that it is over at once. */
export const quick = ({ times }: Size): Size => ({
  rounds: 1,
  seconds: 0,
  warmup: 0,
  times: times > 10_000 ? times : Math.min(times, 32)
})
