import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Signal from "../../src/internal/driver/signal.js"

type How = Parameters<AbortSignal["addEventListener"]>[2]

type Step =
  | { readonly do: "listen"; readonly who: number; readonly how: How }
  | { readonly do: "unlisten"; readonly who: number }
  | { readonly do: "abort" }

const step: FastCheck.Arbitrary<Step> = FastCheck.oneof(
  FastCheck.record({
    do: FastCheck.constant("listen" as const),
    who: FastCheck.nat(3),
    how: FastCheck.constantFrom<How>(undefined, { once: true }, {}, { capture: true }, true)
  }),
  FastCheck.record({ do: FastCheck.constant("unlisten" as const), who: FastCheck.nat(3) }),
  FastCheck.record({ do: FastCheck.constant("abort" as const) })
)

/** What those hear who listen to a controller's signal, and what the signal says of itself. */
const heard = ({ abort, signal }: Signal.Controller, steps: ReadonlyArray<Step>) => {
  const calls: Array<string> = []
  const listeners = Array.from({ length: 4 }, (_, who) => (event: Event) => {
    calls.push(`${who} ${event.type} ${event.target === signal} ${signal.aborted}`)
  })
  for (const one of steps) {
    if (one.do === "abort") abort()
    else {
      const listener = listeners[one.who]
      if (listener === undefined) continue
      if (one.do === "listen") signal.addEventListener("abort", listener, one.how)
      else signal.removeEventListener("abort", listener)
    }
  }
  const { aborted, reason } = signal
  return { calls: calls.sort(), aborted, reason: String(reason) }
}

const platforms = (): Signal.Controller => {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}

describe("a lent signal", () => {
  it("tells those who listen what the platform's own tells them", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(step, { maxLength: 12 }), (steps) => {
        expect(heard(Signal.lender().next(), steps)).toEqual(heard(platforms(), steps))
      }),
      { numRuns: 500 }
    )
  })

  it("is one for the platform: others may follow it", () => {
    const { abort, signal } = Signal.lender().next()
    expect(signal).toBeInstanceOf(AbortSignal)
    const followed = AbortSignal.any([signal])
    let heard = 0
    const listener = { handleEvent: () => void heard++ }
    signal.addEventListener("abort", listener, true)
    abort()
    expect([followed.aborted, heard]).toEqual([true, 1])
  })

  it("does not hear of one who has gone with the signal that he came with", () => {
    const { abort, signal } = Signal.lender().next()
    const gone = new AbortController()
    let heard = 0
    signal.addEventListener("abort", () => void heard++, { signal: gone.signal })
    gone.abort()
    abort()
    expect(heard).toBe(0)
  })

  it("is lent again, unless it was fired or is listened to still", () => {
    const lender = Signal.lender()
    const first = lender.next()
    const listener = () => undefined
    first.signal.addEventListener("abort", listener)
    first.signal.removeEventListener("abort", listener)
    expect(lender.next()).toBe(first)
    first.signal.addEventListener("abort", listener)
    const second = lender.next()
    expect(second).not.toBe(first)
    second.abort()
    expect(lender.next()).not.toBe(second)
    expect([first.signal.aborted, second.signal.aborted]).toEqual([false, true])
  })
})

describe("the signals of an operation", () => {
  it("are made when they are asked for: one of its own, and one that is lent", () => {
    const lender = Signal.lender()
    const one = new Signal.Controllers(lender)
    expect(one.due(true)).toEqual([])
    expect(one.lent).toBe(one.lent)
    expect(one.signal).toBe(one.signal)
    expect(one.signal).not.toBe(one.lent)
    expect(one.due(true).map(({ signal }) => signal)).toEqual([one.signal, one.lent])
    const next = new Signal.Controllers(lender)
    expect(next.lent).toBe(one.lent)
    expect(next.signal).not.toBe(one.signal)
  })

  it("are of its own where none is lent", () => {
    const one = new Signal.Controllers(undefined)
    expect(one.lent).toBe(one.signal)
    expect(one.due(true)).toHaveLength(1)
  })
})
