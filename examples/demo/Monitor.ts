/**
 * What the demo's clients really do, by the driver's command monitoring and connection pool events.
 *
 * The demo believes nothing that the library says of itself: whatever it claims is looked up here.
 */
import type { MongoClient } from "effect-mongo-session"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"

/** A command that was sent to the server, and when its answer came. */
export interface Command {
  readonly name: string
  /** The id of the session that it was sent in, in hexadecimal digits. */
  readonly lsid: string | undefined
  /** The ids of the sessions that it is about, as `refreshSessions` and `endSessions` have them. */
  readonly ids: ReadonlyArray<string>
  /** What the program wrote on it. */
  readonly comment: string | undefined
  /** What a read has to wait for before it may answer. */
  readonly afterClusterTime: Driver.Timestamp | undefined
  readonly began: number
  ended: number
}

export class Monitor extends Context.Tag("demo/Monitor")<Monitor, {
  /** Every command so far by its number, in the order of sending. */
  readonly commands: Map<number, Command>
  readonly connections: { taken: number; inUse: number }
}>() {}

export const layer = Layer.sync(Monitor, () => ({ commands: new Map(), connections: { taken: 0, inUse: 0 } }))

/** Watches a client for as long as it exists: also while it is being closed. */
export const watch = (client: MongoClient.Service) =>
  Effect.map(Monitor, ({ commands, connections }) => {
    const onEnd = ({ requestId }: { readonly requestId: number }) => {
      const command = commands.get(requestId)
      if (command !== undefined) command.ended = performance.now()
    }
    client.driver
      .on("commandStarted", (event) => void commands.set(event.requestId, describe(event)))
      .on("commandSucceeded", onEnd)
      .on("commandFailed", onEnd)
      .on("connectionCheckedOut", () => {
        connections.taken++
        connections.inUse++
      })
      .on("connectionCheckedIn", () => void connections.inUse--)
  })

/** All commands so far. */
export const commands = Effect.map(Monitor, ({ commands }) => [...commands.values()])

/** An effect's result, and the commands that were sent while it ran. */
export const during = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const before = yield* commands
    const result = yield* effect
    return { result, sent: (yield* commands).slice(before.length) }
  })

/** The commands of one name that a client sends from now on, each when its answer has come. */
export const answered = (client: MongoClient.Service, name: string) =>
  Stream.asyncPush<Command, never, Monitor>((emit) =>
    Effect.flatMap(Monitor, ({ commands }) => {
      const listener = ({ commandName, requestId }: Driver.CommandSucceededEvent) => {
        const command = Option.fromNullable(commands.get(requestId))
        if (commandName === name) emit.chunk(Chunk.fromIterable(Option.toArray(command)))
      }
      return Effect.acquireRelease(
        Effect.sync(() => client.driver.on("commandSucceeded", listener)),
        () => Effect.sync(() => client.driver.off("commandSucceeded", listener))
      )
    })
  )

/** How many of the commands were on their way at the same time, at most. */
export const mostAtOnce = (commands: ReadonlyArray<Command>): number =>
  Math.max(0, ...commands.map(({ began }) => commands.filter((one) => one.began <= began && began < one.ended).length))

const describe = ({ command, commandName }: Driver.CommandStartedEvent): Command => {
  const about: unknown = command[commandName]
  return {
    name: commandName,
    lsid: command["lsid"]?.id.toString("hex"),
    ids: Array.isArray(about) ? about.map(({ id }) => id.toString("hex")) : [],
    comment: command["comment"],
    afterClusterTime: command["readConcern"]?.afterClusterTime,
    began: performance.now(),
    ended: Number.POSITIVE_INFINITY
  }
}
