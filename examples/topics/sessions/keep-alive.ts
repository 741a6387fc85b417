// Idle sessions are kept alive, a thousand of them with one command: here every second, by default every ten minutes.
import { Duration, Effect, Schedule } from "effect"
import { MongoClient, Session } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const program = Effect.gen(function*() {
  const { driver } = yield* MongoClient.MongoClient
  driver.on("commandStarted", ({ command, commandName }) => {
    if (commandName === "refreshSessions") console.log(`refreshSessions with ${command[commandName].length} ids`)
  })
  const sessions = yield* Effect.replicateEffect(Session.make(), 1_000)
  yield* Effect.sleep("3.5 seconds")
  const idle = yield* Effect.all(sessions.map((session) => session.idle))
  yield* Effect.log("idle for", Duration.format(idle.reduce(Duration.max)), "at most")
}).pipe(Effect.scoped)

const ServerAndClient = MongoServer.layerClient({
  client: {
    driver: { monitorCommands: true },
    keepAlive: { schedule: Schedule.spaced("1 second"), idleFor: "300 millis" }
  }
})

await Effect.runPromise(program.pipe(Effect.provide(ServerAndClient)))
