/**
 * Listens to the events of a client of the driver.
 */
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
