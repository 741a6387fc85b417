import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Keeper from "../../src/testing/internal/keeper.js"
import { live } from "../../src/testing/internal/live.js"
import * as Owner from "../../src/testing/internal/owner.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Processes from "../support/programs/processes.js"
import { holdServer, leftIn, own, ownJson } from "../support/server/ownServer.js"

describe("nothing is left behind", () => {
  it.scoped("by a scope that closes", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      yield* Effect.scoped(Effect.gen(function*() {
        yield* MongoServer.make({ ...own, temporaryFolder: folder, members: 3, auth: true })
        assert.isNotEmpty(yield* leftIn(folder))
      }))
      assert.deepStrictEqual(yield* leftIn(folder), [])
    }))

  it.scoped("by an interruption at any moment of the start", () =>
    Effect.flatMap(
      Processes.temporaryFolder,
      (folder) =>
        Effect.forEach([0, 20, 60, 150, 400, 800, 1500, 2500], (delay) =>
          Effect.gen(function*() {
            const options = { ...own, temporaryFolder: folder, members: 3, auth: true } as const
            const fiber = yield* Effect.fork(Effect.scoped(MongoServer.make(options)))
            yield* live(Effect.sleep(delay))
            yield* Fiber.interrupt(fiber)
            assert.deepStrictEqual(yield* leftIn(folder), [])
          }))
    ))

  it.scoped("by a start that fails after the server was started", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      yield* Effect.flip(MongoServer.make({ ...own, temporaryFolder: folder, startTimeout: "1 millis" }))
      assert.deepStrictEqual(yield* leftIn(folder), [])
    }))

  for (const signal of ["SIGKILL", "SIGINT", "SIGTERM"] as const) {
    it.scopedLive(`by a process that is ended by ${signal}`, () =>
      Effect.gen(function*() {
        const folder = yield* Processes.temporaryFolder
        const members = signal === "SIGKILL" ? 3 : 1
        const program = yield* Processes.start(holdServer, [ownJson({ temporaryFolder: folder, members })])
        assert.include(yield* program.firstLine, "Running")
        assert.isNotEmpty(yield* leftIn(folder))
        yield* program.kill(signal)
        yield* program.ended
        assert.deepStrictEqual(yield* Processes.untilNone(leftIn(folder)), [])
      }))
  }

  it.scopedLive("by a process that is killed together with the keeper of its servers", ({ skip }) =>
    Effect.gen(function*() {
      if (process.platform !== "linux") return skip("only Linux ends a process with its parent")
      const folder = yield* Processes.temporaryFolder
      const program = yield* Processes.start(holdServer, [ownJson({ temporaryFolder: folder, members: 3 })])
      assert.include(yield* program.firstLine, "Running")
      const [home = ""] = yield* leftIn(folder)
      const keeper = Number(FileSystem.readFileSync(Path.join(folder, home, "keeper.pid"), "utf8"))
      process.kill(keeper, "SIGSTOP")
      yield* program.kill("SIGKILL")
      yield* program.ended
      process.kill(keeper, "SIGKILL")
      assert.deepStrictEqual(yield* Processes.untilNone(Processes.processesWith(folder)), [])
      // its folder goes when the next server starts
      yield* Effect.scoped(MongoServer.make({ ...own, temporaryFolder: folder }))
      assert.deepStrictEqual(yield* leftIn(folder), [])
      assert.isFalse(FileSystem.existsSync(`/tmp/${home}.sock`))
    }))

  it.scopedLive("by a process that exits without closing its scope", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      const program = yield* Processes.start(holdServer, [ownJson({ temporaryFolder: folder }), "exit"])
      assert.include(yield* program.firstLine, "Running")
      yield* program.ended
      assert.deepStrictEqual(yield* Processes.untilNone(leftIn(folder)), [])
    }))

  it.scopedLive("by a process that is killed while the server starts", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      const program = yield* Processes.start(holdServer, [ownJson({ temporaryFolder: folder, members: 3 })])
      yield* Effect.repeat(leftIn(folder), {
        until: (left) => left.length > 0,
        schedule: Schedule.spaced("5 millis")
      })
      yield* program.kill("SIGKILL")
      yield* program.ended
      assert.deepStrictEqual(yield* Processes.untilNone(leftIn(folder)), [])
    }))
})

describe("what a killed keeper has left", () => {
  const left = (folder: string, name: string, files: Readonly<Record<string, string>>) => {
    FileSystem.mkdirSync(Path.join(folder, name))
    for (const [file, text] of Object.entries(files)) FileSystem.writeFileSync(Path.join(folder, name, file), text)
  }
  const dead = "4194303"
  const here = Owner.namespace()

  it.scoped("goes when the next one starts, and what belongs to a container or machine elsewhere stays", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      left(folder, "effect-mongo-dead", { "keeper.pid": dead, "keeper.namespace": here })
      left(folder, "effect-mongo-alive", { "keeper.pid": String(process.pid), "keeper.namespace": here })
      left(folder, "effect-mongo-elsewhere", { "keeper.pid": dead, "keeper.namespace": `${here}0` })
      left(folder, "effect-mongo-from-nowhere", { "keeper.pid": dead })
      left(folder, "effect-mongo-being-made", { "keeper.pid": "", "keeper.namespace": here })
      yield* Effect.scoped(Keeper.make(folder))
      assert.deepStrictEqual((yield* leftIn(folder)).toSorted(), [
        "effect-mongo-alive",
        "effect-mongo-being-made",
        "effect-mongo-elsewhere",
        "effect-mongo-from-nowhere"
      ])
    }))
})
