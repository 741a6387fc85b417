/**
 * Listens to the events of a client of the driver.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"

type Listeners = { readonly [K in keyof Driver.MongoClientEvents]?: Driver.MongoClientEvents[K] }

/** Adds listeners, and gives what removes them. */
export const listen = (driver: Driver.MongoClient, listeners: Listeners): () => void => {
  const all = Object.entries(listeners) as Array<[keyof Driver.MongoClientEvents, () => void]>
  for (const [name, listener] of all) driver.on(name, listener)
  return () => {
    for (const [name, listener] of all) driver.off(name, listener)
  }
}

/** {@link listen} until the scope closes. */
export const listening = (
  driver: Driver.MongoClient,
  listeners: Listeners
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(Effect.sync(() => listen(driver, listeners)), Effect.sync))
