// An instance of the shop as a process of its own, with a server of MongoDB that somebody else has started.
import { Data, Deferred, Effect, type Scope } from "effect"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

export class InstanceFailed extends Data.TaggedError("InstanceFailed")<{ readonly reason: string }> {}

export interface Instance {
  readonly url: string
  /** Asks it to end (SIGTERM), and gives its exit code when it has. */
  readonly end: Effect.Effect<number | null>
}

const main = fileURLToPath(new URL("../app/main.ts", import.meta.url))

/** Everybody knows this one: it is for the machine of a developer. */
const secret = "a secret of examples and tests only"

export interface Options {
  /** 0 for any. */
  readonly port: number
  /** What is put behind the server's URL. */
  readonly urlOptions?: string
  /** Further variables of its environment. */
  readonly env?: NodeJS.ProcessEnv
  readonly log: (line: string) => void
}

/** Starts one, and waits until it takes requests. The scope ends it. */
export const start = (
  { env, log, port, urlOptions = "" }: Options
): Effect.Effect<Instance, InstanceFailed, MongoServer.MongoServer | Scope.Scope> =>
  Effect.gen(function*() {
    const { url } = yield* MongoServer.MongoServer
    const listening = yield* Deferred.make<string, InstanceFailed>()
    const ended = yield* Deferred.make<number | null>()
    const child = spawn(process.execPath, ["--import", "tsx", main], {
      env: {
        CAUSAL_TOKEN_SECRET: secret,
        ...process.env,
        ...env,
        PORT: String(port),
        MONGO_URL: `${url}${urlOptions}`
      },
      stdio: ["ignore", "pipe", "pipe"]
    })
    child.on("error", ({ message: reason }) => Deferred.unsafeDone(listening, new InstanceFailed({ reason })))
    child.on("exit", (code) => {
      Deferred.unsafeDone(ended, Effect.succeed(code))
      Deferred.unsafeDone(listening, new InstanceFailed({ reason: `it ended with ${code} before it listened` }))
    })
    for (const input of [child.stdout, child.stderr]) {
      createInterface({ input }).on("line", (line) => {
        log(line)
        const address = /^listening at (\S+)$/.exec(line)?.[1]
        if (address !== undefined) Deferred.unsafeDone(listening, Effect.succeed(address))
      })
    }
    const end = Effect.suspend(() => {
      child.kill("SIGTERM")
      return Deferred.await(ended)
    })
    const kill = Effect.sync(() => child.kill("SIGKILL"))
    yield* Effect.addFinalizer(() =>
      Effect.timeoutTo(Effect.interruptible(end), {
        duration: "20 seconds",
        onSuccess: () => Effect.void,
        onTimeout: () => kill
      }).pipe(Effect.flatten)
    )
    return { url: yield* Deferred.await(listening), end }
  })
