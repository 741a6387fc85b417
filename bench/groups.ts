/**
 * What is measured together: arms that do the same thing against the same server, in one process of their own.
 */
import type { Size } from "./rounds.js"

export interface Group {
  /** The null responder with so many documents in each batch, the embedded server, or none. */
  readonly server: { readonly batch: number } | "embedded" | "none"
  readonly size: Size
}

const one = { batch: 1 }

// The whole is not to take longer than ten minutes, even where other programs run.
const seconds = 25

const groups = {
  "findOne": { server: one, size: { rounds: 50, warmup: 6, times: 300, seconds } },
  "findOne traced": { server: one, size: { rounds: 50, warmup: 6, times: 300, seconds } },
  "insertOne": { server: one, size: { rounds: 40, warmup: 4, times: 640, seconds } },
  "stream": { server: { batch: 1000 }, size: { rounds: 12, warmup: 1, times: 100_000, seconds } },
  "transaction": { server: one, size: { rounds: 40, warmup: 5, times: 100, seconds } },
  "transaction x16": { server: one, size: { rounds: 40, warmup: 4, times: 160, seconds } },
  "transaction embedded": { server: "embedded", size: { rounds: 16, warmup: 1, times: 30, seconds } },
  "transaction x16 embedded": { server: "embedded", size: { rounds: 16, warmup: 1, times: 64, seconds } },
  "bank": { server: "embedded", size: { rounds: 12, warmup: 1, times: 160, seconds } },
  "openClose": { server: one, size: { rounds: 40, warmup: 3, times: 300, seconds } },
  "keepAlive": { server: "embedded", size: { rounds: 3, warmup: 0, times: 1, seconds } },
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
