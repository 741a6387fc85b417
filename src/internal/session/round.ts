/**
 * Decides which sessions a round of the keep-alive refreshes.
 */
import * as Duration from "effect/Duration"
import * as Time from "../time/clock.js"

interface Idle {
  readonly keepAlive: () => boolean
  readonly isBusy: () => boolean
  readonly idleAt: (now: Time.Instant) => number
}

/**
 * Which sessions are to be refreshed, and which are beyond it.
 *
 * A lapsed session is not refreshed: the server would recreate its id, and nobody would know that what belonged to it
 * (its causal history, its cursors) is gone.
 */
export const plan = <M extends Idle>(
  members: Iterable<M>,
  now: Time.Instant,
  timeout: Duration.Duration,
  idleFor: Duration.Duration
): { readonly due: ReadonlyArray<M>; readonly lapsed: ReadonlyArray<M> } => {
  const due: Array<M> = []
  const lapsed: Array<M> = []
  const hasLapsed = Time.lapseAfter(timeout)
  const least = Duration.toMillis(idleFor)
  for (const member of members) {
    if (member.isBusy()) continue
    const idle = member.idleAt(now)
    if (hasLapsed(idle)) {
      lapsed.push(member)
    } else if (member.keepAlive() && idle >= least) {
      due.push(member)
    }
  }
  return { due, lapsed }
}
