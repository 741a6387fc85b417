/**
 * Lends the driver session of an open session to the caller's own code.
 */
import * as Lent from "../driver/lent.js"
import type { RunningFiber } from "../time/fiber.js"
import { inner, type Service as Client } from "./client.js"
import type { Evaluate } from "./flight.js"
import type { Gate } from "./gate.js"

/** Runs the caller's own code, by that name, with a driver session that it has until its promise has settled. */
export const lending = <A>(
  use: Lent.Use<A>,
  client: Client,
  gate: Gate,
  operation: string,
  fiber: RunningFiber
): Evaluate<A> =>
  Lent.lending(use, {
    client: client.driver,
    calling: (call) => gate.calling(call),
    unused: () => client[inner].unused(operation, fiber),
    refused: () => gate.flights.leftover.maybeCursor()
  })
