/**
 * Watches what a client of the driver does: which commands went out in which logical session and when each was over, and
 * which connections are in use.
 */
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import { until } from "./until.js"

/** A command as the driver reported it. */
export interface Seen {
  readonly name: string
  /** The logical session in hexadecimal, if the command had one. */
  readonly lsid: string | undefined
  readonly command: Driver.Document
  /** How it ended; `undefined` while it is in flight. */
  readonly outcome: "succeeded" | "failed" | undefined
}

/** What a client has done since it is watched, or since {@link Monitor.clear}. */
export interface Monitor {
  readonly commands: Effect.Effect<ReadonlyArray<Seen>>
  readonly named: (name: string) => Effect.Effect<ReadonlyArray<Seen>>
  /** Waits until so many commands of the name have been sent. */
  readonly awaitStarted: (name: string, count?: number) => Effect.Effect<void>
  /** Pairs of commands of one logical session, the second of which was sent before the first was over. */
  readonly overlaps: Effect.Effect<ReadonlyArray<readonly [Seen, Seen]>>
  /**
   * Reads that were aborted while the server may have been opening a cursor for them; not cleared. Nobody knows the id
   * of such a cursor, so only the server can close it, when it has been idle for long enough.
   */
  readonly orphans: Effect.Effect<number>
  /** The names of the commands that have no answer yet. */
  readonly inFlight: Effect.Effect<ReadonlyArray<string>>
  /** Connections that an operation has and has not given back. */
  readonly checkedOut: Effect.Effect<number>
  /** The logical sessions of all commands; not cleared. */
  readonly lsids: Effect.Effect<ReadonlySet<string>>
  readonly clear: Effect.Effect<void>
}

interface Mutable extends Seen {
  outcome: Seen["outcome"]
}

/** Watches a client that was made with `monitorCommands: true`, for as long as it lives. */
export const watch = (driver: Driver.MongoClient): Monitor => {
  const seen: Array<Mutable> = []
  const overlaps: Array<readonly [Seen, Seen]> = []
  const inFlight = new Map<number, Mutable>()
  const lsids = new Set<string>()
  let checkedOut = 0
  let orphans = 0

  driver.on("commandStarted", (event) => {
    const id: unknown = event.command["lsid"]?.id
    const one: Mutable = {
      name: event.commandName,
      lsid: hasBuffer(id) ? Buffer.from(id.buffer).toString("hex") : undefined,
      command: event.command,
      outcome: undefined
    }
    for (const other of inFlight.values()) {
      if (one.lsid !== undefined && other.lsid === one.lsid) overlaps.push([other, one])
    }
    if (one.lsid !== undefined) lsids.add(one.lsid)
    seen.push(one)
    inFlight.set(event.requestId, one)
  })
  const over = (outcome: "succeeded" | "failed") => (event: { readonly requestId: number }): void => {
    const one = inFlight.get(event.requestId)
    inFlight.delete(event.requestId)
    if (one === undefined) return
    one.outcome = outcome
    if (outcome === "failed" && opensCursor.has(one.name)) orphans++
  }
  driver.on("commandSucceeded", over("succeeded"))
  driver.on("commandFailed", over("failed"))
  driver.on("connectionCheckedOut", () => void checkedOut++)
  driver.on("connectionCheckedIn", () => void checkedOut--)

  const named = (name: string) => Effect.sync(() => seen.filter((one) => one.name === name))
  return {
    commands: Effect.sync(() => seen.slice()),
    named,
    awaitStarted: (name, count = 1) => Effect.asVoid(until(named(name), (found) => found.length >= count)),
    overlaps: Effect.sync(() => overlaps.slice()),
    orphans: Effect.sync(() => orphans),
    inFlight: Effect.sync(() => Array.from(inFlight.values(), ({ name }) => name)),
    checkedOut: Effect.sync(() => checkedOut),
    lsids: Effect.sync(() => new Set(lsids)),
    clear: Effect.sync(() => {
      seen.length = 0
      overlaps.length = 0
    })
  }
}

const opensCursor = new Set(["find", "aggregate"])

const hasBuffer = (id: unknown): id is { readonly buffer: Uint8Array } =>
  typeof id === "object" && id !== null && "buffer" in id && id.buffer instanceof Uint8Array
