import { describe, expect, it } from "@effect/vitest"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Lane from "../../src/internal/session/lane.js"
import { type Place, placeOf, stepOut, Transaction } from "../../src/internal/session/turn.js"
import * as Parts from "../../src/internal/transaction/part.js"
import { attempt, defaults, inside } from "../support/transactions/attempts.js"

const nowhere = { turn: undefined, isLocked: false }
const locked = { turn: undefined, isLocked: true }

const placeIn = (lane: Lane.Lane) => Effect.withFiberRuntime<Place>((fiber) => Effect.succeed(placeOf(fiber, lane)))

const steppedOut = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.mapInputContext(effect, (context: Context.Context<R>) => stepOut(context))

const innermost = Effect.withFiberRuntime<Parts.Part | undefined>((fiber) => Effect.succeed(Parts.innermostOf(fiber)))

const expectPlace = (lane: Lane.Lane, expected: Place) =>
  Effect.map(placeIn(lane), ({ isLocked, turn }) => {
    // By identity: two turns may look the same.
    expect(turn === expected.turn).toBe(true)
    expect(isLocked).toBe(expected.isLocked)
  })

describe("the place of a fiber in a session", () => {
  it.effect("is in no transaction where there is none", () => expectPlace(Lane.make(), nowhere))

  it.effect("is in the transaction that runs in this session, and not in one that runs in another", () =>
    Effect.gen(function*() {
      const part = attempt()
      yield* inside(part, expectPlace(part.of.sessionLane, { turn: part, isLocked: false }))
      yield* inside(part, expectPlace(Lane.make(), nowhere))
      yield* inside(part, expectPlace(part.of.lane, nowhere))
    }))

  it.effect("is in the part that has joined, and in every fiber that it forks", () =>
    Effect.gen(function*() {
      const whole = attempt()
      const part = new Parts.Part(whole.of, whole)
      const here = expectPlace(whole.of.sessionLane, { turn: part, isLocked: false })
      yield* inside(part, here)
      yield* inside(part, Effect.all([here, here], { concurrency: "unbounded" }))
      yield* Effect.flatMap(inside(part, Effect.forkDaemon(here)), Fiber.join)
    }))

  it.effect("is found outwards, through transactions in other sessions", () =>
    Effect.gen(function*() {
      const first = attempt()
      const second = attempt({ outer: new Parts.Part(first.of, first) })
      const third = attempt({ outer: second })
      const joined = new Parts.Part(third.of, third)
      yield* inside(joined, expectPlace(third.of.sessionLane, { turn: joined, isLocked: false }))
      yield* inside(joined, expectPlace(second.of.sessionLane, { turn: second, isLocked: false }))
      yield* inside(joined, expectPlace(first.of.sessionLane, { turn: second.of.outer, isLocked: false }))
      yield* inside(joined, expectPlace(Lane.make(), nowhere))
    }))

  it.effect("is not told by a service that is no part of a transaction", () =>
    Effect.gen(function*() {
      const forged = { attempt: 1, options: defaults }
      const places = Effect.zip(placeIn(Lane.make()), innermost)
      expect(yield* Effect.provideService(places, Transaction, forged)).toEqual([nowhere, undefined])
    }))

  it.effect("innermostOf tells the transaction of the fiber, whatever its session", () =>
    Effect.gen(function*() {
      const outer = attempt()
      const inner = attempt({ outer })
      expect((yield* inside(inner, innermost)) === inner).toBe(true)
      expect((yield* inside(outer, innermost)) === outer).toBe(true)
      expect(yield* innermost).toBeUndefined()
      expect(yield* inside(inner, steppedOut(innermost))).toBeUndefined()
    }))
})

describe("who steps out of a transaction", () => {
  it.effect("is behind it in its session: neither in the transaction nor free to wait for it", () =>
    Effect.gen(function*() {
      const part = attempt()
      yield* inside(part, steppedOut(expectPlace(part.of.sessionLane, locked)))
      yield* Parts.behind(expectPlace(part.of.sessionLane, locked), part)
      yield* inside(part, Parts.behind(expectPlace(part.of.sessionLane, locked), part))
    }))

  it.effect("does not find the transaction", () =>
    Effect.gen(function*() {
      const part = attempt()
      const found = Effect.serviceOption(Transaction)
      expect(Option.isSome(yield* inside(part, found))).toBe(true)
      expect(Option.isNone(yield* inside(part, steppedOut(found)))).toBe(true)
      expect(Option.isNone(yield* inside(part, Parts.behind(found, part)))).toBe(true)
    }))

  it.effect("is free in every other session", () =>
    Effect.gen(function*() {
      yield* inside(attempt(), steppedOut(expectPlace(Lane.make(), nowhere)))
    }))

  it.effect("stays behind between two attempts, and is free when the last one is over", () =>
    Effect.gen(function*() {
      const part = attempt()
      part.of.close()
      yield* inside(part, steppedOut(expectPlace(part.of.sessionLane, locked)))
      part.of.run.end()
      yield* inside(part, steppedOut(expectPlace(part.of.sessionLane, nowhere)))
    }))

  it.effect("is behind the outer transactions, too", () =>
    Effect.gen(function*() {
      const outer = attempt()
      const inner = attempt({ outer })
      inner.of.run.end()
      yield* inside(inner, steppedOut(expectPlace(outer.of.sessionLane, locked)))
      yield* inside(inner, steppedOut(expectPlace(inner.of.sessionLane, nowhere)))
    }))

  it.effect("stays behind it in another transaction that is begun there", () =>
    Effect.gen(function*() {
      const first = attempt()
      const second = attempt()
      const there = <A, E, R>(effect: Effect.Effect<A, E, R>) => inside(first, steppedOut(inside(second, effect)))
      yield* there(expectPlace(second.of.sessionLane, { turn: second, isLocked: false }))
      yield* there(expectPlace(first.of.sessionLane, locked))
    }))

  it.effect("of a transaction that was started by hand is free, for that holds no session", () =>
    Effect.gen(function*() {
      const lane = Lane.make()
      const manual = attempt({ lane, sessionLane: lane })
      yield* inside(manual, steppedOut(expectPlace(lane, nowhere)))
    }))

  it.effect("where there is no transaction, changes nothing", () =>
    Effect.gen(function*() {
      const outside = attempt()
      yield* steppedOut(expectPlace(outside.of.sessionLane, nowhere))
      yield* inside(outside, steppedOut(steppedOut(expectPlace(outside.of.sessionLane, locked))))
    }))
})
