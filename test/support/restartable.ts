/**
 * A server that a test may kill and start again with its data.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Net from "node:net"
import { live } from "../../src/testing/internal/live.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Processes from "./processes.js"

/** A server with a place of its own. */
export interface Restartable {
  /** What it is; its URL stays the same. */
  readonly server: MongoServer.Service
  /** Kills it, as a crash of its machine would. */
  readonly kill: Effect.Effect<void>
  /** Starts it again with the data that it has left. */
  readonly start: Effect.Effect<void, MongoServer.MongoServerUnavailable>
}

/** Starts a server; the scope stops it and removes its data. */
export const make: Effect.Effect<Restartable, MongoServer.MongoServerUnavailable, Scope.Scope> = Effect.gen(
  function*() {
    const storagePath = yield* Processes.temporaryFolder
    const port = yield* freePort
    let scope: Scope.CloseableScope | undefined

    const start = Effect.gen(function*() {
      scope = yield* Scope.make()
      return yield* Scope.extend(MongoServer.make({ storagePath, port, onProgress: () => Effect.void }), scope)
    })
    const close = Effect.suspend(() => {
      const old = scope
      scope = undefined
      return old === undefined ? Effect.void : Scope.close(old, Exit.void)
    })
    // Its processes, and nobody else's, have the folder in their command line.
    const killAll = Effect.map(Processes.processesWith(storagePath), (lines) => {
      for (const line of lines) kill(Number.parseInt(line, 10))
      return lines
    })

    yield* Effect.addFinalizer(() => Effect.zipRight(killAll, close))
    const server = yield* start
    return {
      server,
      kill: Effect.zipRight(Processes.untilNone(killAll), close).pipe(live),
      start: Effect.asVoid(start)
    }
  }
)

const kill = (pid: number): void => {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // it ended by itself between the two steps
  }
}

const freePort: Effect.Effect<number> = Effect.async((resume) => {
  const server = Net.createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

/** Why a server of the kind can't be killed by a test; none if it can. */
export const untouchable = ({ kind }: Pick<MongoServer.Service, "kind">): string | undefined =>
  kind === "uri" ? "a server that runs already is not the test's to kill" : undefined
