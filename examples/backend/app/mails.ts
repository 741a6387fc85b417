// Mails go out when, and only when, the order is committed that they tell of. One instance at a time sends them.
import { Effect, Schedule, Stream } from "effect"
import { Lease, Outbox } from "effect-mongo-session"
import { MailService } from "./MailService.js"
import { Mail } from "./model.js"

export const Mails = Outbox.make("mails", { schema: Mail })

/**
 * Sends what is in the outbox, for as long as this instance holds the lease. The lease says who works; that two never do,
 * also when a lease runs out under a frozen instance, the relay itself sees to: the older one fails with `ConsumerReplaced`.
 */
export const relay = Effect.gen(function*() {
  const service = yield* MailService
  const working = Mails.relay(({ id, message }) => service.send(id, message), {
    retry: Schedule.exponential("100 millis").pipe(Schedule.union(Schedule.spaced("5 seconds")))
  }).pipe(
    Stream.runDrain,
    Effect.tapErrorCause((cause) => Effect.logWarning("the relay of mails has stopped", cause)),
    Effect.ignore
  )
  // It begins again as long as the lease is held.
  const always = Effect.forever(Effect.zipRight(working, Effect.sleep("1 second")))
  yield* Effect.orDie(Lease.leader("mails", always, { for: "5 seconds" }))
})
