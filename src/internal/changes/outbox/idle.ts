/**
 * What a relay does while no message comes: it notes where it stands, looks for what the change stream may not tell, and ends
 * when it is to end.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type * as Session from "../../../Session.js"
import type { ConsumerReplaced, OperationError } from "../../../SessionErrors.js"
import * as Backoff from "../../transaction/backoff.js"
import { isPlace, type Position } from "../position.js"
import { type Next, standing } from "./order.js"
import type { Stored } from "./store.js"

/** What is done while nothing comes. */
export interface Options<A, R, C> {
  readonly outbox: Stored<A, R, C>
  readonly session: Session.Service
  readonly poll: Schedule.Schedule<unknown, number> | undefined
  /** Notes where the stream stands. */
  readonly note: (position: Position) => Effect.Effect<void, OperationError | ConsumerReplaced, C>
}

/** A relay while nothing comes. */
export class Idle<A, R, C> {
  readonly #options: Options<A, R, C>
  #backoff: Backoff.Backoff<number> | undefined
  #delivered = 0
  #notedAt: number | undefined
  #lookedAt: number | undefined
  // Messages that are there and have not come, and since when.
  #suspects: { readonly ids: ReadonlyArray<string>; readonly since: number } | undefined

  constructor(options: Options<A, R, C>) {
    this.#options = options
  }

  /** Messages have come, and so many were delivered. */
  busy(delivered: number): void {
    this.#delivered += delivered
    this.#lookedAt = undefined
    this.#suspects = undefined
  }

  /** None has come up to a position. Gives those that are to be delivered nevertheless; nothing, if that is the end. */
  nothing(
    position: Position | undefined
  ): Effect.Effect<Option.Option<Next>, OperationError | ConsumerReplaced, C> {
    return Effect.gen(this, function*() {
      const now = yield* Clock.currentTimeMillis
      const stranded = yield* this.#look(now)
      if (stranded.length > 0) {
        return Option.some({ items: stranded.map((_id) => ({ _id, position: undefined })), position: undefined })
      }
      this.#notedAt ??= now
      if (position !== undefined && isPlace(position) && now - this.#notedAt >= interval) {
        this.#notedAt = now
        yield* this.#options.note(position)
      }
      const goesOn = this.#suspects !== undefined || (yield* this.#waited())
      return goesOn ? Option.some<Next>({ items: [], position }) : Option.none()
    })
  }

  // A message comes within moments of its commit. One that is there, and does not come, was put there in a way that no
  // change stream tells, as by a collection that was renamed.
  #look(now: number): Effect.Effect<ReadonlyArray<string>, OperationError, C> {
    const suspects = this.#suspects
    if (suspects !== undefined) {
      if (now - suspects.since < patience) return Effect.succeed([])
      return Effect.map(standing(this.#options, { _id: { $in: suspects.ids.slice() } }), (stranded) => {
        this.#suspects = undefined
        this.#lookedAt = undefined
        return stranded
      })
    }
    const isDue = this.#options.poll !== undefined || this.#lookedAt === undefined || now - this.#lookedAt >= interval
    if (!isDue) return Effect.succeed([])
    return Effect.map(standing(this.#options, {}, mostSuspects), (ids) => {
      this.#lookedAt = now
      if (ids.length > 0) this.#suspects = { ids, since: now }
      return []
    })
  }

  #waited(): Effect.Effect<boolean> {
    const { poll } = this.#options
    if (poll === undefined) return Effect.succeed(true)
    if (this.#backoff === undefined || this.#delivered > 0) this.#backoff = Backoff.make(poll)
    const since = this.#delivered
    this.#delivered = 0
    return Effect.flatMap(
      this.#backoff.next(since),
      Option.match({ onNone: () => Effect.succeed(false), onSome: (delay) => Effect.as(Effect.sleep(delay), true) })
    )
  }
}

// In milliseconds.
const interval = 60_000
const patience = 5000

const mostSuspects = 1000
