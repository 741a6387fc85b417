// A lease: of all instances, one at a time has it, and another one takes over when that one is gone.
import { Duration, Effect, Schema } from "effect"
import { Collection } from "effect-mongo-session"
import { randomUUID } from "node:crypto"

const Leases = Collection.make("leases", {
  schema: Schema.Struct({ _id: Schema.String, holder: Schema.String, until: Schema.DateFromSelf }),
  writeConcern: { w: "majority" }
})

const length = Duration.seconds(5)
const interval = Duration.seconds(1)

/** Takes or renews the lease, by the server's clock: those of the instances may differ. */
const take = (name: string, holder: string) =>
  Leases.updateOne(
    { _id: name, $or: [{ holder }, { $expr: { $lt: ["$until", "$$NOW"] } }] },
    [{ $set: { holder, until: { $add: ["$$NOW", Duration.toMillis(length)] } } }]
  ).pipe(
    Effect.map(({ matchedCount }) => matchedCount === 1),
    // Without an answer it is not held: this instance stops some time before the lease runs out.
    Effect.catchAll((error) => Effect.as(Effect.logWarning("no lease", error.message), false)),
    Effect.timeoutTo({ duration: interval, onTimeout: () => false, onSuccess: (isHeld) => isHeld })
  )

/** Makes a lease that nobody holds, unless there is one of that name. */
export const prepare = (name: string) =>
  Leases.updateOne({ _id: name }, { $setOnInsert: { holder: "", until: new Date(0) } }, { upsert: true })

/** Runs an effect whenever this instance holds the lease, and for as long; for ever. */
export const whileHeld = (name: string) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const holder = randomUUID()
    const pause = Effect.sleep(interval)
    const lost = Effect.repeat(Effect.zipRight(pause, take(name, holder)), { while: (isHeld) => isHeld })
    const release = Effect.ignore(Leases.updateOne({ _id: name, holder }, { $set: { until: new Date(0) } }))
    return take(name, holder).pipe(
      Effect.flatMap((isHeld) => isHeld ? Effect.raceFirst(effect, lost) : Effect.void),
      Effect.zipRight(pause),
      Effect.forever,
      Effect.ensuring(Effect.timeoutOption(Effect.interruptible(release), interval))
    )
  })
