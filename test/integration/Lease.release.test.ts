import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Lease from "../../src/Lease.js"
import { live } from "../../src/testing/internal/live.js"
import { onKeys } from "../support/once/keys.js"
import * as TestServer from "../support/server/testServer.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("the release of a lease", () => {
    it.effect("keeps a scope that closes waiting for 5 seconds at most, however long the lease lasts", () =>
      onKeys(({ database, monitor }) =>
        live(Effect.gen(function*() {
          const limitOf = (time: "1 hour" | "3 seconds") =>
            Effect.gen(function*() {
              yield* monitor.clear
              yield* Effect.scoped(Lease.make(`lease of ${time}`, { database, for: time }).acquire)
              return (yield* monitor.named("update")).map(({ command }) => Number(command["maxTimeMS"]))
            })
          const [long = NaN, ...none] = yield* limitOf("1 hour")
          expect(none).toEqual([])
          expect(long).toBeGreaterThan(4000)
          expect(long).toBeLessThanOrEqual(5000)
          const [short = NaN] = yield* limitOf("3 seconds")
          expect(short).toBeLessThanOrEqual(1000)
        }))
      ))
  })

  describe("a lease that was released", () => {
    it.effect("runs nothing any more", () =>
      onKeys(({ database }) =>
        live(Effect.gen(function*() {
          const held = yield* Effect.scoped(Lease.make("lease", { database }).acquire)
          let ran = false
          const error = yield* Effect.flip(held.whileHeld(Effect.sync(() => ran = true)))
          expect(error).toMatchObject({ _tag: "LeaseLost", lease: "lease", token: 1, reason: "Released" })
          expect(ran).toBe(false)
          expect(yield* Effect.flip(held.lost)).toEqual(error)
        }))
      ))

    it.effect("interrupts what runs under it still", () =>
      onKeys(({ database }) =>
        live(Effect.gen(function*() {
          const scope = yield* Scope.make()
          const held = yield* Scope.extend(Lease.make("lease", { database }).acquire, scope)
          const begun = yield* Deferred.make<void>()
          let isInterrupted = false
          const working = Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never).pipe(
            Effect.onInterrupt(() => Effect.sync(() => isInterrupted = true))
          )
          const running = yield* Effect.forkDaemon(held.whileHeld(working))
          yield* Deferred.await(begun)
          yield* Scope.close(scope, Exit.void)
          expect(yield* Effect.flip(Fiber.join(running))).toMatchObject({ _tag: "LeaseLost", reason: "Released" })
          expect(isInterrupted).toBe(true)
        }))
      ))
  })
})
