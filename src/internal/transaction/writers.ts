/**
 * Who of one client's transactions has written what: looked at only when one of them has lost a conflict.
 */
import type * as Tracer from "effect/Tracer"
import type { Description } from "../session/turn.js"
import { targetOf } from "../values/ids.js"

/** A write that searches for its document. */
export interface Write extends Description {
  readonly namespace: string
}

/** A transaction that has written something and is open. */
export interface Writer {
  readonly writes: ReadonlyArray<Write>
  /** When its attempt has begun, in nanoseconds. */
  readonly began: bigint | undefined
  readonly span: Tracer.AnySpan | undefined
}

/** How many writes are looked at for one conflict: it must not take long where thousands of transactions are open. */
const mostLookedAt = 2000

/** How many others are found. */
const mostFound = 20

/** The open transactions of a client that have written. */
export class Writers {
  readonly #open = new Set<Writer>()
  // Made once for each write, when it is first asked for.
  readonly #targets = new WeakMap<Write, { readonly target: string | undefined }>()

  /** A transaction has written something. */
  enter(writer: Writer): void {
    this.#open.add(writer)
  }

  /** It has ended. */
  leave(writer: Writer): void {
    this.#open.delete(writer)
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size
  }

  /** Those that have written a target, but for one, and the last of these writes of each. */
  of(target: string, namespace: string, but: Writer): ReadonlyArray<readonly [Writer, Write]> {
    const found: Array<readonly [Writer, Write]> = []
    let left = mostLookedAt
    for (const writer of this.#open) {
      if (writer === but) continue
      const { writes } = writer
      left -= writes.length
      const last = writes.findLast((write) => write.namespace === namespace && this.#targetOf(write) === target)
      if (last !== undefined) found.push([writer, last])
      if (found.length === mostFound || left <= 0) break
    }
    return found
  }

  #targetOf(write: Write): string | undefined {
    const known = this.#targets.get(write)
    if (known !== undefined) return known.target
    const target = targetOf(write.namespace, write.filter)
    this.#targets.set(write, { target })
    return target
  }
}
