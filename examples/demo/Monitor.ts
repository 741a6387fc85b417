/**
 * What the demo's client really does, by the driver's command monitoring and connection pool events.
 *
 * The demo believes nothing that the library says of itself: whatever it claims is looked up here, or in the database.
 */
import type { MongoClient } from "effect-mongo-session"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Driver from "mongodb"

/** A command that was sent to the server, and what came of it. */
export interface Command {
  readonly name: string
  /** The id of the session that it was sent in, in hexadecimal digits. */
  readonly lsid: string | undefined
  /** The transaction that it belongs to: that session, and a number. */
  readonly transaction: string | undefined
  /** The ids of the sessions that it is about, as `endSessions` has them. */
  readonly ids: ReadonlyArray<string>
  /** The `_id`s of the documents that it inserts. */
  readonly inserted: ReadonlyArray<unknown>
  readonly began: number
  ended: number
  /** What the server had against it: a code, or its connection was lost. */
  problem: number | "NoAnswer" | undefined
}

export class Monitor extends Context.Tag("demo/Monitor")<Monitor, {
  /** Every command so far by its number, in the order of sending. */
  readonly commands: Map<number, Command>
  readonly connections: { taken: number; inUse: number; refused: number }
  /** The primaries that the client has found, one after the other. */
  readonly primaries: Array<Primary>
}>() {}

export interface Primary {
  readonly host: string
  readonly since: number
}

export const layer = Layer.sync(Monitor, () => ({
  commands: new Map(),
  connections: { taken: 0, inUse: 0, refused: 0 },
  primaries: []
}))

/** Watches a client for as long as it exists: also while it is being closed. */
export const watch = (client: MongoClient.Service) =>
  Effect.map(Monitor, ({ commands, connections, primaries }) => {
    const onEnd = ({ requestId }: { readonly requestId: number }, problem: Command["problem"]) => {
      const command = commands.get(requestId)
      if (command !== undefined) Object.assign(command, { ended: performance.now(), problem })
    }
    client.driver
      .on("commandStarted", (event) => void commands.set(event.requestId, describe(event)))
      .on("commandSucceeded", (event) => onEnd(event, codeIn(concernOf(event))))
      .on("commandFailed", (event) => onEnd(event, codeIn(event.failure) ?? "NoAnswer"))
      .on("connectionCheckedOut", () => {
        connections.taken++
        connections.inUse++
      })
      .on("connectionCheckedIn", () => void connections.inUse--)
      .on("connectionCheckOutFailed", () => void connections.refused++)
      .on("serverDescriptionChanged", ({ address: host, newDescription }) => {
        if (newDescription.type !== "RSPrimary" || primaries.at(-1)?.host === host) return
        primaries.push({ host, since: performance.now() })
      })
  })

/** All commands so far. */
export const commands = Effect.map(Monitor, ({ commands }) => [...commands.values()])

/** The primaries so far. */
export const primaries = Effect.map(Monitor, ({ primaries }) => [...primaries])

/** Whether each of the commands, which are those of one session, was answered before the next one was sent. */
export const areOneAtATime = (commands: ReadonlyArray<Command>): boolean =>
  commands.slice(1).every(({ began }, index) => (commands[index]?.ended ?? 0) <= began)

const describe = ({ command, commandName }: Driver.CommandStartedEvent): Command => {
  const about: unknown = command[commandName]
  const lsid: string | undefined = command["lsid"]?.id.toString("hex")
  const inserted: ReadonlyArray<Driver.Document> = command["documents"] ?? []
  return {
    name: commandName,
    lsid,
    transaction: command["autocommit"] === false ? `${lsid} ${command["txnNumber"]}` : undefined,
    ids: Array.isArray(about) ? about.map(({ id }) => id.toString("hex")) : [],
    inserted: inserted.map(({ _id }) => _id),
    began: performance.now(),
    ended: Number.POSITIVE_INFINITY,
    problem: undefined
  }
}

const concernOf = ({ reply }: Driver.CommandSucceededEvent): unknown =>
  typeof reply === "object" && reply !== null && "writeConcernError" in reply ? reply.writeConcernError : undefined

const codeIn = (problem: unknown): number | undefined =>
  typeof problem === "object" && problem !== null && "code" in problem && typeof problem.code === "number"
    ? problem.code
    : undefined
