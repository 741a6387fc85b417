// Mails go out when, and only when, the order is committed that they tell of. One instance at a time sends them.
import { Effect, Schedule, Stream } from "effect"
import { Lease, Outbox, SessionErrors } from "effect-mongo-session"
import { MailService } from "./MailService.js"
import { Mail } from "./model.js"

export const Mails = Outbox.make("mails", { schema: Mail })

/** When to try again: soon at first, and then every five seconds. */
const again = Schedule.exponential("100 millis").pipe(Schedule.union(Schedule.spaced("5 seconds")))

/** What the log says when it is not known who sends mails. */
export const unled = "this instance can't apply for sending mails; it tries again"

/**
 * Sends what is in the outbox, for as long as this instance holds the lease. The lease says who works; that two never do,
 * also when a lease runs out under a frozen instance, the relay itself sees to: the older one fails with `ConsumerReplaced`.
 */
export const relay = Effect.gen(function*() {
  const service = yield* MailService
  const working = Mails.relay(({ id, message }) => service.send(id, message), {
    retry: again
  }).pipe(
    Stream.runDrain,
    Effect.tapErrorCause((cause) => Effect.logWarning("the relay of mails has stopped", cause)),
    Effect.ignore
  )
  // It begins again as long as the lease is held.
  const always = Effect.forever(Effect.zipRight(working, Effect.sleep("1 second")))
  // Without this, one refusal of the server would keep this instance from ever sending mails.
  yield* Lease.leader("mails", always, { for: "5 seconds" }).pipe(
    SessionErrors.orDieOnMisuse,
    Effect.tapError((error) => Effect.logWarning(unled, error.message)),
    Effect.retry(again),
    Effect.orDie
  )
})
