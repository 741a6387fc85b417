import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Collection from "../../src/Collection.js"
import * as Lease from "../../src/Lease.js"
import { live } from "../../src/testing/internal/live.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import { onClient } from "../support/data/collections.js"
import * as Processes from "../support/programs/processes.js"
import * as TestServer from "../support/server/testServer.js"

const program = new URL("../support/programs/lease.ts", import.meta.url)

// What a frozen process has left open is gone soon.
layer(TestServer.own({ parameters: { transactionLifetimeLimitSeconds: 1 } }), { excludeTestServices: true })((it) => {
  describe("a holder that is frozen while another takes its lease", () => {
    it.effect("wakes up, and its commit is refused, frozen before its guard or after it", () =>
      onClient(() => live(Effect.forEach(["before", "after"], wakesUp, { concurrency: 2 }))))
  })
})

const wakesUp = (moment: string) =>
  Effect.gen(function*() {
    const { url } = yield* MongoServer.MongoServer
    const database = yield* TestServer.database
    const Writes = Collection.make("writes", { database })
    const file = Path.join(yield* Processes.temporaryFolder, "go")
    const child = yield* Processes.start(program, [url, database, moment, file])
    yield* child.firstLine
    yield* child.kill("SIGSTOP")
    const taking = Lease.make(moment, { database, for: "1 minute", poll: Schedule.spaced("20 millis") })
    yield* taking.run(Effect.gen(function*() {
      const { token } = yield* Lease.Held
      yield* Transaction.run(Effect.zipRight(Lease.guard, Writes.insertOne({ moment, by: "other", token })))
      FileSystem.writeFileSync(file, "")
      yield* child.kill("SIGCONT")
      yield* child.ended
      const { attempts, outcome } = JSON.parse(FileSystem.readFileSync(`${file}.out`, "utf8"))
      expect(outcome).toMatchObject({ _tag: "LeaseLost", lease: moment, token: 1, reason: "NotHeld" })
      // What had its guard was about to commit.
      if (moment === "after") expect(attempts).toBe(2)
      const writes = yield* Effect.map(Stream.runCollect(Writes.find({})), Chunk.toReadonlyArray)
      expect(writes).toEqual([expect.objectContaining({ by: "other", token: 2 })])
    }))
  })
