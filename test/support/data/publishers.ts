/**
 * Many who publish in one outbox at once.
 */
import * as Effect from "effect/Effect"
import type { MongoClient as Driver } from "mongodb"
import * as Outbox from "../../../src/Outbox.js"
import * as Session from "../../../src/Session.js"
import * as Transaction from "../../../src/Transaction.js"
import { numbers } from "./collections.js"

/**
 * Publishes so many messages, 50 at once, each in a transaction that writes something else, too, and lasts for a while. What
 * cannot be committed is left out.
 */
export const publishing = (driver: Driver, database: string, outbox: string, count: number) => {
  const Letters = Outbox.make(outbox, { database })
  const effects = driver.db(database).collection<{ _id: number }>("effects")
  return Effect.forEach(
    numbers(count),
    (n) =>
      Effect.exit(Transaction.run(Effect.gen(function*() {
        yield* Letters.publish({ n })
        yield* Session.use((session) => effects.insertOne({ _id: n }, { session }))
        yield* Effect.sleep(`${(n * 7) % 20} millis`)
      }))),
    { concurrency: 50, discard: true }
  )
}
