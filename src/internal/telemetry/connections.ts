/**
 * The metrics of the driver's connection pools, from their events.
 */
import * as Effect from "effect/Effect"
import type * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import * as Telemetry from "../../Telemetry.js"
import { listen } from "../driver/listen.js"
import { clockOf } from "../time/clock.js"
import { type Labels, labels } from "./log.js"

type State = "idle" | "used"

/** A connection that is open: in use since then, or idle. */
interface Open {
  state: State
  since: bigint
}

/** Counts what pools of one client do, and takes back what is not over when the scope closes. */
export const watchPools = (driver: Driver.MongoClient): Effect.Effect<void, never, Scope.Scope> =>
  Effect.withFiberRuntime((fiber) => {
    const clock = clockOf(fiber)
    const pools = new Map<string, Pool>()
    // The driver makes the text of an address anew for each event: to compare it costs less than to look it up.
    let last: Pool | undefined
    const poolOf = ({ address }: { readonly address: string }): Pool => {
      if (last?.address === address) return last
      last = pools.get(address) ?? new Pool(address)
      pools.set(address, last)
      return last
    }
    const now = () => clock.unsafeCurrentTimeNanos()
    const listeners = {
      connectionPoolCreated: (event: Driver.ConnectionPoolCreatedEvent) => poolOf(event).limit(event.options),
      connectionPoolClosed: (event: Driver.ConnectionPoolClosedEvent) => {
        poolOf(event).close()
        pools.delete(event.address)
        last = undefined
      },
      connectionReady: (event: Driver.ConnectionReadyEvent) => poolOf(event).ready(event),
      connectionClosed: (event: Driver.ConnectionClosedEvent) => pools.get(event.address)?.remove(event.connectionId),
      connectionCheckOutStarted: (event: Driver.ConnectionCheckOutStartedEvent) => poolOf(event).wait(),
      connectionCheckedOut: (event: Driver.ConnectionCheckedOutEvent) => poolOf(event).use(event, now()),
      connectionCheckOutFailed: (event: Driver.ConnectionCheckOutFailedEvent) => poolOf(event).fail(event),
      connectionCheckedIn: (event: Driver.ConnectionCheckedInEvent) => poolOf(event).giveBack(event, now())
    }
    return Effect.asVoid(Effect.acquireRelease(
      Effect.sync(() => listen(driver, listeners)),
      (unlisten) =>
        Effect.sync(() => {
          unlisten()
          for (const pool of pools.values()) pool.close()
        })
    ))
  })

/** One pool, and what was counted of it. */
class Pool {
  readonly address: string
  private readonly own: Labels
  private readonly in: Readonly<Record<State, Labels>>
  private readonly connections = new Map<number | "<monitor>", Open>()
  private pending = 0
  private max = 0
  private idleMin = 0

  constructor(address: string) {
    this.address = address
    const name = { "db.client.connection.pool.name": address }
    this.own = labels(name)
    this.in = {
      idle: labels({ ...name, "db.client.connection.state": "idle" }),
      used: labels({ ...name, "db.client.connection.state": "used" })
    }
  }

  // No limit is 0.
  limit(
    { maxPoolSize, minPoolSize }: Pick<Driver.ConnectionPoolCreatedEvent["options"], "maxPoolSize" | "minPoolSize">
  ): void {
    this.add(Telemetry.connectionMax, maxPoolSize - this.max)
    this.add(Telemetry.connectionIdleMin, minPoolSize - this.idleMin)
    this.max = maxPoolSize
    this.idleMin = minPoolSize
  }

  ready({ connectionId, durationMS }: Driver.ConnectionReadyEvent): void {
    this.add(Telemetry.connectionCreateTime, durationMS / 1_000)
    this.connection(connectionId)
  }

  wait(): void {
    this.pending++
    this.add(Telemetry.connectionPendingRequests, 1)
  }

  use({ connectionId, durationMS }: Driver.ConnectionCheckedOutEvent, now: bigint): void {
    this.waited()
    this.add(Telemetry.connectionWaitTime, durationMS / 1_000)
    const connection = this.connection(connectionId)
    this.move(connection, "used")
    connection.since = now
  }

  fail({ reason }: Driver.ConnectionCheckOutFailedEvent): void {
    this.waited()
    if (reason === "timeout") this.add(Telemetry.connectionTimeouts, 1)
  }

  giveBack({ connectionId }: Driver.ConnectionCheckedInEvent, now: bigint): void {
    const connection = this.connection(connectionId)
    if (connection.state === "used") {
      this.add(Telemetry.connectionUseTime, Number(now - connection.since) / 1_000_000_000)
    }
    this.move(connection, "idle")
  }

  // What was never ready was not counted.
  remove(id: number | "<monitor>"): void {
    const connection = this.connections.get(id)
    if (connection === undefined) return
    this.connections.delete(id)
    Telemetry.connectionCount.unsafeUpdate(-1, this.in[connection.state])
  }

  close(): void {
    for (const id of this.connections.keys()) this.remove(id)
    this.limit({ maxPoolSize: 0, minPoolSize: 0 })
    this.add(Telemetry.connectionPendingRequests, -this.pending)
    this.pending = 0
  }

  private add<Type>(metric: Metric.Metric<Type, number, unknown>, value: number): void {
    metric.unsafeUpdate(value, this.own)
  }

  // A client of the caller's may have opened connections before this library listened to its events.
  private connection(id: number | "<monitor>"): Open {
    const known = this.connections.get(id)
    if (known !== undefined) return known
    const connection: Open = { state: "idle", since: 0n }
    this.connections.set(id, connection)
    Telemetry.connectionCount.unsafeUpdate(1, this.in.idle)
    return connection
  }

  private move(connection: Open, state: State): void {
    if (connection.state === state) return
    Telemetry.connectionCount.unsafeUpdate(-1, this.in[connection.state])
    Telemetry.connectionCount.unsafeUpdate(1, this.in[state])
    connection.state = state
  }

  private waited(): void {
    if (this.pending === 0) return
    this.pending--
    this.add(Telemetry.connectionPendingRequests, -1)
  }
}
