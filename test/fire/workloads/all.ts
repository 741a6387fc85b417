/**
 * All workloads of a storm, with 64 fibers and some more.
 */
import type { StormSet } from "../set.js"
import type { Make } from "../world.js"
import * as Append from "./append.js"
import * as Bank from "./bank.js"
import * as Causal from "./causal.js"
import * as Manual from "./manual.js"
import * as Outbox from "./outbox.js"
import * as Shared from "./shared.js"
import * as Streams from "./streams.js"

/** Transactions alone. */
export const transactions: ReadonlyArray<Make> = [Append.make(16), Bank.make(6), Shared.make(4)]

/** All workloads on a set. */
export const all = ({ server }: StormSet): ReadonlyArray<Make> => [
  Append.make(22),
  Bank.make(13),
  Manual.make(4),
  // Three fibers each.
  Shared.make(3),
  Outbox.make(8),
  Causal.make(3, server.url),
  Streams.make(2)
]
