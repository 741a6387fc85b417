import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import { often } from "../support/long.js"
import * as Programs from "../support/programs/sessionPrograms.js"
import * as Responder from "../support/server/responder.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const seed = Number(process.env["FAST_CHECK_SEED"] ?? Math.floor(Math.random() * 2 ** 31))

const numbers = (length: number) => Array.from({ length }, (_, n) => n)

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("L1: no two commands of a session are in flight at once", () => {
    it.scoped("a program that keeps to the law here breaks it on a raw session of the driver", () =>
      Effect.gen(function*() {
        const server = yield* Responder.make()
        // The one is answered when the other has come: who waits for its turn waits for ever.
        yield* server.on("update", () => Effect.as(server.awaitCommand("find"), { n: 0, nModified: 0 }))
        const { client, monitor } = yield* Monitor.connect({ url: Redacted.make(server.url) })
        const db = client.driver.db("test")
        const program: Programs.Program = {
          _tag: "All",
          concurrent: true,
          parts: [{ _tag: "Run", operation: "slowWrite" }, { _tag: "Run", operation: "find" }]
        }
        const raw = client.driver.startSession()
        const { signal } = new AbortController()
        const { awaitDaemons } = yield* Programs.run(
          program,
          (operation) => Effect.promise((): Promise<unknown> => Programs.operations[operation](db, raw, signal))
        )
        yield* awaitDaemons
        yield* Effect.promise(() => raw.endSession())
        const [first, second] = (yield* monitor.overlaps)[0] ?? []
        expect([first?.name, second?.name].sort()).toEqual(["find", "update"])
        expect(second?.lsid).toBe(first?.lsid)
      }))

    it.effect(
      "whatever random programs run, fork, race, time out and interrupt on it",
      () =>
        Monitor.withClient({}, (watched) =>
          Effect.gen(function*() {
            const { monitor } = watched
            const db = yield* programDatabase(watched)
            const problems = (program: Programs.Program, onBusy: "queue" | "fail") =>
              Effect.gen(function*() {
                yield* monitor.clear
                const surprises: Array<string> = []
                const { awaitDaemons } = yield* Effect.scoped(Effect.gen(function*() {
                  const session = yield* Monitor.session(watched, { onBusy })
                  return yield* Programs.run(program, (operation) =>
                    session.use((driverSession, signal) => Programs.operations[operation](db, driverSession, signal))
                      .pipe(
                        // a daemon may outlive the session, and "fail" fails; nothing else may go wrong
                        Effect.catchTag("SessionEnded", () => Effect.void),
                        Effect.catchTag(
                          "SessionBusy",
                          (error) => Effect.sync(() => onBusy === "fail" ? undefined : surprises.push(error.message))
                        ),
                        Effect.catchAll((error) => Effect.sync(() => surprises.push(error.message)))
                      ))
                }))
                yield* awaitDaemons
                const overlaps = yield* monitor.overlaps
                return [
                  ...surprises,
                  ...overlaps.map(([first, second]) => `${second.name} was sent while ${first.name} was in flight`),
                  ...((yield* monitor.checkedOut) === 0 ? [] : ["a connection was not given back"])
                ]
              })
            const runPromise = Runtime.runPromise(yield* Effect.runtime<never>())
            console.log(`FAST_CHECK_SEED=${seed}`)
            let commands = 0
            yield* Effect.promise(() =>
              FastCheck.assert(
                FastCheck.asyncProperty(
                  Programs.arbitrary,
                  FastCheck.constantFrom<"queue" | "fail">("queue", "queue", "queue", "fail"),
                  async (program, onBusy) => {
                    expect((await runPromise(problems(program, onBusy))).join("\n")).toBe("")
                    commands += (await runPromise(monitor.commands)).length
                  }
                ),
                { numRuns: often(500), seed }
              )
            )
            expect(commands, "commands that could have overlapped").toBeGreaterThan(1_000)
          }))
    )
  })

  describe("L2: operations of a session queue, and none waits for ever", () => {
    it.effect("200 operations started at once are sent in the order of their arrival", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const users = watched.client.driver.db(yield* TestServer.database).collection("users")
          const session = yield* Monitor.session(watched)
          yield* Effect.all(
            numbers(200).map((n) => session.use((driverSession) => users.insertOne({ n }, { session: driverSession }))),
            { concurrency: "unbounded" }
          )
          const inserts = yield* watched.monitor.named("insert")
          expect(inserts.map(({ command }) => command["documents"][0].n)).toEqual(numbers(200))
          expect(yield* watched.monitor.overlaps).toEqual([])
        })))

    it.effect("with onBusy \"fail\" a second operation fails at once, names the first, and sends nothing", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const { client, monitor } = watched
          const session = yield* Monitor.session(watched, { onBusy: "fail" })
          yield* Monitor.block(watched, ["ping"], "300 millis")
          const ping = session.use((driverSession) =>
            client.driver.db("admin").command({ ping: 1 }, { session: driverSession })
          )
          const first = yield* Effect.fork(ping)
          yield* monitor.awaitStarted("ping")
          expect(yield* session.state).toBe("busy")
          expect(yield* Effect.flip(ping)).toMatchObject({ _tag: "SessionBusy", operation: "use", holder: "use" })
          yield* Fiber.join(first)
          expect(yield* monitor.named("ping")).toHaveLength(1)
          yield* ping
          expect(yield* session.state).toBe("idle")
        })))

    it.effect("a fiber that waits for its turn can be interrupted at once; its operation is never started", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const session = yield* Monitor.session(watched)
          const running = yield* Deferred.make<void>()
          const release = yield* Deferred.make<void>()
          const first = yield* Effect.fork(session.use(() => {
            Deferred.unsafeDone(running, Effect.void)
            return Effect.runPromise(Deferred.await(release))
          }))
          yield* Deferred.await(running)
          let started = false
          const second = yield* Effect.fork(session.use(async () => void (started = true)))
          yield* Effect.yieldNow()
          // were it not over at once, it would wait for what is released below
          expect(Exit.isInterrupted(yield* Fiber.interrupt(second))).toBe(true)
          expect(yield* Fiber.poll(first)).toEqual(Option.none())
          yield* Deferred.succeed(release, undefined)
          yield* Fiber.join(first)
          expect(started).toBe(false)
          yield* session.use(async () => void (started = true))
          expect(started).toBe(true)
        })))

    it.effect("two fibers that read, think and write in a loop on one session both come to their end", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const users = watched.client.driver.db(yield* TestServer.database).collection<{ _id: string; n: number }>(
            "users"
          )
          const session = yield* Monitor.session(watched)
          yield* session.use((driverSession) =>
            users.insertMany([{ _id: "a", n: 0 }, { _id: "b", n: 0 }], { session: driverSession })
          )
          const loop = (_id: string) =>
            Effect.repeatN(
              Effect.gen(function*() {
                const found = yield* session.use((driverSession) => users.findOne({ _id }, { session: driverSession }))
                yield* Effect.sleep("1 millis")
                const n = (found?.n ?? Number.NaN) + 1
                yield* session.use((driverSession) =>
                  users.updateOne({ _id }, { $set: { n } }, { session: driverSession })
                )
              }),
              24
            )
          yield* Effect.all([loop("a"), loop("b")], { concurrency: "unbounded" }).pipe(Effect.timeout("20 seconds"))
          const rows = yield* session.use((driverSession) =>
            users.find({}, { session: driverSession }).sort({ _id: 1 }).toArray()
          )
          expect(rows).toEqual([{ _id: "a", n: 25 }, { _id: "b", n: 25 }])
          expect(yield* watched.monitor.overlaps).toEqual([])
        })))

    it.effect("between two batches of a cursor another operation gets its turn", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const users = watched.client.driver.db(yield* TestServer.database).collection("users")
          yield* Effect.promise(() => users.insertMany(numbers(6).map((n) => ({ n }))))
          const session = yield* Monitor.session(watched)
          const cursor = yield* session.use(async (driverSession) =>
            users.find({}, { session: driverSession, batchSize: 2 })
          )
          const seen: Array<unknown> = []
          const reading = yield* Deferred.make<void>()
          const writing = yield* Deferred.make<void>()
          const reader = Effect.gen(function*() {
            for (
              let row = yield* session.use(() => cursor.next());
              row !== null;
              row = yield* session.use(() => cursor.next())
            ) {
              seen.push(row["n"])
              yield* Deferred.succeed(reading, undefined)
              yield* Deferred.await(writing)
            }
          })
          const writer = Effect.gen(function*() {
            yield* Deferred.await(reading)
            yield* session.use((driverSession) =>
              users.updateMany({}, { $set: { read: true } }, { session: driverSession })
            )
            yield* Deferred.succeed(writing, undefined)
          })
          yield* Effect.all([reader, writer], { concurrency: "unbounded" }).pipe(Effect.timeout("10 seconds"))
          expect(seen).toEqual(numbers(6))
          expect(yield* watched.monitor.overlaps).toEqual([])
        })))
  })
})

/** A database for random programs, and a fail point that makes their slow operations slow. */
const programDatabase = (watched: Monitor.Watched) =>
  Effect.gen(function*() {
    const db = watched.client.driver.db(yield* TestServer.database)
    yield* Effect.promise(() => db.collection("users").insertMany(numbers(8).map((n) => ({ n }))))
    yield* Monitor.block(watched, Programs.slowCommands, "4 millis")
    return db
  })
