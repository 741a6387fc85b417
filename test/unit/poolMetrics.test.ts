import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import type * as MetricState from "effect/MetricState"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { MongoClient } from "mongodb"
import { watchPools } from "../../src/internal/telemetry/connections.js"
import * as Telemetry from "../../src/Telemetry.js"

/** A client that is not connected, and what its pools are said to do. */
const pool = (address: string) =>
  Effect.gen(function*() {
    const driver = new MongoClient("mongodb://127.0.0.1:1")
    const scope = yield* Scope.make()
    yield* Scope.extend(watchPools(driver), scope)
    const emit = (name: string, fields: object = {}) => {
      driver.emit(name as "connectionReady", { address, ...fields } as never)
    }
    const own = <Type, In, Out>(metric: Metric.Metric<Type, In, Out>) =>
      Metric.tagged(metric, "db.client.connection.pool.name", address)
    const count = <Type, In>(metric: Metric.Metric<Type, In, MetricState.MetricState.Counter<number>>) =>
      Effect.map(Metric.value(own(metric)), ({ count }) => count)
    const times = (metric: Metric.Metric.Histogram<number>) =>
      Effect.map(Metric.value(own(metric)), ({ count, sum }) => [count, sum])
    // Tags have an order.
    const of = (state: string) =>
      Effect.map(
        Metric.value(Metric.tagged(own(Telemetry.connectionCount), "db.client.connection.state", state)),
        ({ count }) => count
      )
    return {
      driver,
      emit,
      count,
      times,
      open: Effect.all([of("idle"), of("used")]),
      close: Scope.close(scope, Exit.void),
      checkOut: (connectionId: number, durationMS = 0) => {
        emit("connectionCheckOutStarted")
        emit("connectionCheckedOut", { connectionId, durationMS })
      }
    }
  })

const listeners = ({ driver }: { readonly driver: MongoClient }) =>
  driver.eventNames().map((name) => driver.listenerCount(name as "open")).reduce((sum, count) => sum + count, 0)

describe("the metrics of a pool", () => {
  it.effect("count its connections by their state, from being ready to being closed", () =>
    Effect.gen(function*() {
      const { checkOut, emit, open, times } = yield* pool("a:1")
      emit("connectionCreated", { connectionId: 1 })
      expect(yield* open).toEqual([0, 0])
      emit("connectionReady", { connectionId: 1, durationMS: 20 })
      emit("connectionReady", { connectionId: 2, durationMS: 30 })
      expect(yield* open).toEqual([2, 0])
      checkOut(1)
      expect(yield* open).toEqual([1, 1])
      emit("connectionCheckedIn", { connectionId: 1 })
      checkOut(2)
      emit("connectionClosed", { connectionId: 2 })
      expect(yield* open).toEqual([1, 0])
      emit("connectionClosed", { connectionId: 3 })
      expect(yield* open).toEqual([1, 0])
      expect(yield* times(Telemetry.connectionCreateTime)).toEqual([2, 0.05])
    }))

  it.effect("tell how long operations wait for a connection, and how long they have it", () =>
    Effect.gen(function*() {
      const { checkOut, count, emit, times } = yield* pool("b:1")
      emit("connectionReady", { connectionId: 1, durationMS: 1 })
      emit("connectionCheckOutStarted")
      emit("connectionCheckOutStarted")
      expect(yield* count(Telemetry.connectionPendingRequests)).toBe(2)
      emit("connectionCheckedOut", { connectionId: 1, durationMS: 250 })
      expect(yield* count(Telemetry.connectionPendingRequests)).toBe(1)
      emit("connectionCheckOutFailed", { reason: "timeout", durationMS: 1_000 })
      expect(yield* count(Telemetry.connectionPendingRequests)).toBe(0)
      expect(yield* count(Telemetry.connectionTimeouts)).toBe(1)
      emit("connectionCheckOutStarted")
      emit("connectionCheckOutFailed", { reason: "connectionError", durationMS: 1_000 })
      expect(yield* count(Telemetry.connectionTimeouts)).toBe(1)
      expect(yield* times(Telemetry.connectionWaitTime)).toEqual([1, 0.25])
      yield* TestClock.adjust("2 seconds")
      emit("connectionCheckedIn", { connectionId: 1 })
      expect(yield* times(Telemetry.connectionUseTime)).toEqual([1, 2])
      checkOut(1)
      yield* TestClock.adjust("3 seconds")
      emit("connectionCheckedIn", { connectionId: 1 })
      expect(yield* times(Telemetry.connectionUseTime)).toEqual([2, 5])
    }))

  it.effect("have its limits while it is there", () =>
    Effect.gen(function*() {
      const { count, emit } = yield* pool("c:1")
      emit("connectionPoolCreated", { options: { maxPoolSize: 100, minPoolSize: 5 } })
      expect(yield* count(Telemetry.connectionMax)).toBe(100)
      expect(yield* count(Telemetry.connectionIdleMin)).toBe(5)
      emit("connectionPoolClosed")
      expect(yield* count(Telemetry.connectionMax)).toBe(0)
      expect(yield* count(Telemetry.connectionIdleMin)).toBe(0)
    }))

  it.effect("count connections that were there before, as soon as anything is told of them", () =>
    Effect.gen(function*() {
      const { checkOut, emit, open, times } = yield* pool("d:1")
      emit("connectionCheckedIn", { connectionId: 1 })
      expect(yield* open).toEqual([1, 0])
      checkOut(2)
      expect(yield* open).toEqual([1, 1])
      expect(yield* times(Telemetry.connectionUseTime)).toEqual([0, 0])
    }))

  it.effect("are the sum over all clients with a pool of that server", () =>
    Effect.gen(function*() {
      const [first, second] = [yield* pool("e:1"), yield* pool("e:1")]
      first.emit("connectionReady", { connectionId: 1, durationMS: 1 })
      second.emit("connectionReady", { connectionId: 1, durationMS: 1 })
      second.checkOut(1)
      expect(yield* first.open).toEqual([1, 1])
      yield* second.close
      expect(yield* first.open).toEqual([1, 0])
    }))

  it.effect("have nothing of a client that is closed, and no listener is left on it", () =>
    Effect.gen(function*() {
      const it = yield* pool("f:1")
      const before = listeners({ driver: new MongoClient("mongodb://127.0.0.1:1") })
      expect(listeners(it)).toBeGreaterThan(before)
      it.emit("connectionPoolCreated", { options: { maxPoolSize: 100, minPoolSize: 5 } })
      it.emit("connectionReady", { connectionId: 1, durationMS: 1 })
      it.checkOut(1)
      it.emit("connectionCheckOutStarted")
      yield* it.close
      expect(listeners(it)).toBe(before)
      expect(yield* it.open).toEqual([0, 0])
      expect(yield* it.count(Telemetry.connectionPendingRequests)).toBe(0)
      expect(yield* it.count(Telemetry.connectionMax)).toBe(0)
    }))
})
