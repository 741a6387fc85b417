/**
 * The errors of leases. Also exported by `SessionErrors`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { render } from "./internal/values/render.js"

/**
 * A lease is no longer held: it was lost, or its scope has closed. Another instance may have it by now.
 *
 * @example
 * ```ts
 * import * as SessionErrors from "effect-mongo-session/SessionErrors"
 * import * as Effect from "effect/Effect"
 *
 * declare const work: Effect.Effect<void, SessionErrors.LeaseLost>
 *
 * // Another instance goes on with the work.
 * export const ended = Effect.catchTag(work, "LeaseLost", ({ lease, reason }) => Effect.log(`${lease}: ${reason}`))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class LeaseLost extends Data.TaggedError("LeaseLost")<{
  /** What the lease is called. */
  readonly lease: string
  /** The token that it was held with. */
  readonly token: number
  /**
   * - `NotHeld`: by the server's clock it has run out, or another instance has taken it
   * - `NotRenewed`: it could not be renewed in time
   * - `Released`: its scope has closed
   */
  readonly reason: "NotHeld" | "NotRenewed" | "Released"
  /** What the last renewal has failed with, if it has. */
  readonly last?: unknown
}> {
  override get message(): string {
    return `${this.lease}: the lease with token ${this.token} is lost: ${why[this.reason]}`
  }
  get hint(): string {
    return "Acquire it again. If that happens often, raise `for`, or renew more often. A transaction with a guard in it takes less " +
      "time than `for` less `renew`: renewals wait for it."
  }
  override toJSON(): object {
    return render(this, { lease: this.lease, token: this.token, reason: this.reason })
  }
}

const why = {
  NotHeld: "it has run out or was taken",
  NotRenewed: "it was not renewed in time",
  Released: "its scope has closed"
}

/**
 * Another instance has the lease, and `poll` has ended. Nothing was run.
 *
 * @example
 * ```ts
 * import * as SessionErrors from "effect-mongo-session/SessionErrors"
 * import * as Effect from "effect/Effect"
 *
 * declare const work: Effect.Effect<void, SessionErrors.LeaseTaken>
 *
 * export const unlessTaken = Effect.catchTag(work, "LeaseTaken", () => Effect.log("another instance does it"))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class LeaseTaken extends Data.TaggedError("LeaseTaken")<{
  /** What the lease is called. */
  readonly lease: string
  /** How long it is held still if it is not renewed, by the server's clock. */
  readonly remaining: Duration.Duration
}> {
  override get message(): string {
    return `${this.lease}: another instance has the lease for another ${Duration.format(this.remaining)} at least`
  }
  get hint(): string {
    return "Acquire it later, or wait for it with a longer `poll`."
  }
  override toJSON(): object {
    return render(this, { lease: this.lease, remaining: this.remaining })
  }
}
