/**
 * Stands in for a mongod where there is none: says on its standard output what a mongod says, and answers as a primary.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Responder from "./Responder.js"

const args = process.argv.slice(2)

const valueOf = (flag: string): string | undefined => {
  const at = args.indexOf(flag)
  return at < 0 ? undefined : args[at + 1]
}

const program = Effect.scoped(Effect.gen(function*() {
  yield* Responder.make({
    port: Number(valueOf("--port")),
    hello: { setName: valueOf("--replSet"), maxWireVersion: 25 },
    handlers: {
      replSetInitiate: () => ({}),
      shutdown: () => {
        process.exit(0)
      }
    }
  })
  FileSystem.writeFileSync(Path.join(valueOf("--dbpath") ?? ".", "WiredTiger"), args.join(" "))
  process.stdout.write("Waiting for connections\n")
  process.stdout.write("transition to primary complete; database writes are now permitted\n")
  return yield* Effect.never
}))

if (args.includes("--version")) process.stdout.write("db version v8.0.0\n")
else await Effect.runPromise(program)
