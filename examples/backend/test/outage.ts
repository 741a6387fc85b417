// The outage: while everybody orders, the primary is killed (SIGKILL). Another member takes over, and later it comes back.
import { Effect } from "effect"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import type { Ledger } from "./load.js"
import { fact } from "./report.js"
import { until } from "./until.js"

/** Kills the primary after a number of orders; has it back when orders are placed again. */
export const happen = (ledger: Ledger, afterSeconds: number) =>
  Effect.gen(function*() {
    const { primary } = yield* MongoServer.MongoServer
    const began = performance.now()
    yield* until(Effect.sync(() => performance.now() - began > afterSeconds * 1000))
    const { address, kill } = yield* primary
    yield* Effect.scoped(Effect.gen(function*() {
      const before = ledger.placedAt.length
      const killed = performance.now()
      yield* kill
      yield* fact(`the primary, ${address}, is killed after ${before} orders`)
      // Answers that were on their way come in the first moments.
      const next = Effect.sync(() => ledger.placedAt.find((time) => time > killed + 500))
      yield* until(Effect.map(next, (time) => time !== undefined))
      yield* fact(`orders are placed again after ${(((yield* next) ?? Number.NaN) - killed).toFixed(0)} ms`)
    }))
    yield* fact("the killed member is back")
  })
