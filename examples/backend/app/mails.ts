// Mails go out when, and only when, the order is committed that they tell of. One instance at a time sends them.
import { Effect, Schedule, Stream } from "effect"
import { Outbox } from "effect-mongo-session"
import * as Lease from "./lease.js"
import { MailService } from "./MailService.js"
import { Mail } from "./model.js"

export const Mails = Outbox.make("mails", { schema: Mail })

/** What the relay needs to be there. */
export const prepare = Lease.prepare("mails")

/**
 * Sends what is in the outbox, for as long as this instance holds the lease. The lease says who works; that two never do,
 * also when a lease runs out under a frozen instance, the relay itself sees to: the older one fails with `ConsumerReplaced`.
 */
export const relay = Effect.gen(function*() {
  const service = yield* MailService
  yield* Mails.relay(({ id, message }) => service.send(id, message), {
    retry: Schedule.exponential("100 millis").pipe(Schedule.union(Schedule.spaced("5 seconds")))
  }).pipe(
    Stream.runDrain,
    Effect.tapErrorCause((cause) => Effect.logWarning("the relay of mails has stopped", cause)),
    Effect.ignore,
    Lease.whileHeld("mails")
  )
})
