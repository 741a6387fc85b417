/**
 * What happens to sessions when the process, its clocks, the server or the client itself goes away. `FIRE=long` also waits for
 * the server's own timeouts.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Driver from "mongodb"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Collection from "../../src/Collection.js"
import * as MongoClient from "../../src/MongoClient.js"
import { MongoError } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import { isLong } from "../support/long.js"
import * as Processes from "../support/programs/processes.js"
import { logged } from "../support/server/connected.js"
import { quiet } from "../support/server/ownServer.js"
import * as Monitor from "../support/watch/monitor.js"

const Things = Collection.make("things", { database: "lifecycle" })

// The server looks every second for what has ended, and keeps idle sessions for as short a time as it can.
const parameters = { localLogicalSessionTimeoutMinutes: 1, logicalSessionRefreshMillis: 1000 }

const server = (more: Readonly<Record<string, number>> = {}) =>
  MongoServer.make({ ...quiet, parameters: { ...parameters, ...more } })

const clientOf = ({ url }: { readonly url: string }, options: Partial<MongoClient.Options> = {}) =>
  MongoClient.make({ url: Redacted.make(url), ...options })

const admin = ({ url }: { readonly url: string }) =>
  Effect.acquireRelease(
    Effect.promise(() => new Driver.MongoClient(url, { maxPoolSize: 1 }).connect()),
    (client) => Effect.promise(() => client.close())
  )

const ping = (session: Session.Service) =>
  session.use((driverSession) => session.client.driver.db("test").command({ ping: 1 }, { session: driverSession }))

/** What a server has of others: operations and cursors, transactions, connections, sessions. */
const heldBy = (client: Driver.MongoClient, appName: string) =>
  Effect.promise(async () => {
    const db = client.db("admin")
    const all = await db.aggregate([
      { $currentOp: { allUsers: true, idleConnections: true, idleSessions: true, idleCursors: true } },
      { $match: { appName, killPending: { $ne: true } } }
    ]).toArray()
    const transactions = await db.aggregate([
      { $currentOp: { allUsers: true, idleSessions: true } },
      { $match: { "transaction.parameters.autocommit": false } }
    ]).toArray()
    const { metrics } = await db.command({ serverStatus: 1 })
    return { operations: all.length, transactions: transactions.length, cursors: Number(metrics.cursor.open.total) }
  })

const sessionsOn = (client: Driver.MongoClient, ids: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const listed = await client.db("admin").aggregate([{ $listLocalSessions: { allUsers: true } }]).toArray()
    return listed.filter(({ _id }) => ids.includes(String(_id.id))).length
  })

describe("the life of a client", () => {
  it.scopedLive(
    "in full use ends when it is closed: bounded, with typed errors, and nothing is left on the server",
    () =>
      Effect.gen(function*() {
        const deployment = yield* server()
        const driver = yield* admin(deployment)
        const scope = yield* Scope.make()
        const appName = "in full use"
        const client = yield* Scope.extend(clientOf(deployment, { driver: { appName, monitorCommands: true } }), scope)
        const ids = new Set<string>()
        client.driver.on("commandStarted", ({ command }) => void (command.lsid && ids.add(String(command.lsid.id))))
        const as = Effect.provideService(MongoClient.MongoClient, client)
        yield* as(Things.insertMany(Array.from({ length: 500 }, (_, index) => ({ index }))))
        const done = yield* Ref.make(0)
        const inUse = yield* Ref.make(true)
        const causes: Array<Cause.Cause<unknown>> = []
        const kinds: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }, MongoClient.MongoClient>> = [
          Session.scoped(Things.insertOne({ a: 1 })),
          Transaction.run(Effect.zip(Things.insertOne({ b: 1 }), Things.insertOne({ b: 2 }))),
          Session.scoped(Stream.runDrain(Things.find({}, { batchSize: 20 }))),
          Stream.runDrain(Things.find({}, { batchSize: 20 })),
          Stream.runHead(Things.watch([], { maxAwaitTime: "200 millis" }))
        ]
        const fibers = yield* Effect.forEach(Array.from({ length: 50 }), (_, index) =>
          Effect.exit(kinds[index % kinds.length]!).pipe(
            Effect.tap((exit) =>
              Effect.zipRight(
                Ref.update(done, (count) =>
                  count + 1),
                Exit.isFailure(exit)
                  ? Effect.delay(Effect.sync(() => causes.push(exit.cause)), "20 millis")
                  : Effect.void
              )
            ),
            Effect.repeat({ while: () => Ref.get(inUse) }),
            as,
            Effect.fork
          ))
        yield* Monitor.until(Ref.get(done), (count) =>
          count > 100, "30 seconds")

        const [closing] = yield* Effect.timed(Scope.close(scope, Exit.void))
        expect(Duration.toSeconds(closing)).toBeLessThan(20)
        yield* Ref.set(inUse, false)
        yield* Fiber.joinAll(fibers).pipe(Effect.timeout("30 seconds"))
        expect(causes.flatMap((cause) => [...Cause.defects(cause)])).toEqual([])

        yield* Monitor.until(
          heldBy(driver, appName),
          (held) => held.operations === 0 && held.transactions === 0 && held.cursors === 0,
          "20 seconds"
        )
        expect(ids.size).toBeGreaterThan(0)
        yield* Monitor.until(sessionsOn(driver, [...ids]), (left) => left === 0, "20 seconds")
      }),
    120_000
  )

  it.scopedLive(
    "whose deployment is gone ends within its limits, and the log tells of each step that could not be done",
    () =>
      logged((entries) =>
        Effect.gen(function*() {
          const deployment = yield* server()
          const scope = yield* Scope.make()
          const client = yield* Scope.extend(
            clientOf(deployment, {
              closeTimeout: "1 second",
              settleTimeout: "1 second",
              driver: { serverSelectionTimeoutMS: 60_000 }
            }),
            scope
          )
          const as = Effect.provideService(MongoClient.MongoClient, client)
          yield* as(Things.insertMany(Array.from({ length: 50 }, (_, index) => ({ index }))))
          const open = yield* Scope.extend(as(Session.make({ release: "end" })), scope)
          yield* ping(open)
          const started = yield* Deferred.make<void>()
          const inTransaction = yield* Effect.fork(as(
            Transaction.run(Effect.zipRight(
              Things.insertOne({ a: 1 }),
              Effect.zipRight(Deferred.succeed(started, undefined), Effect.never)
            ))
          ))
          const reading = yield* Effect.fork(
            as(Stream.runForEach(Things.find({}, { batchSize: 5 }), () => Effect.never))
          )
          yield* Deferred.await(started)
          yield* Scope.extend(deployment.members[0]!.kill, yield* Effect.scope)

          const [ending] = yield* Effect.timed(Effect.all([
            Fiber.interrupt(inTransaction),
            Fiber.interrupt(reading),
            Scope.close(scope, Exit.void)
          ]))
          expect(Duration.toSeconds(ending)).toBeLessThan(15)
          expect(entries.length).toBeGreaterThan(0)
          expect(entries.map(({ message }) => message).join("\n")).not.toContain("mongodb://")
        })
      ),
    60_000
  )

  it.scopedLive(
    "goes on after the server had too many sessions: the refusal is typed, and passes",
    () =>
      Effect.gen(function*() {
        const deployment = yield* server({ maxSessions: 30 })
        const client = yield* clientOf(deployment)
        const as = Effect.provideService(MongoClient.MongoClient, client)
        const failures = yield* Effect.scoped(Effect.gen(function*() {
          const all = yield* Effect.forEach(Array.from({ length: 60 }), () => as(Session.make({ release: "end" })))
          return yield* Effect.forEach(all, (session) => Effect.either(ping(session))).pipe(
            Effect.map((results) => results.flatMap((result) => result._tag === "Left" ? [result.left] : []))
          )
        }))
        expect(failures.length).toBeGreaterThan(0)
        for (const failure of failures) {
          expect(failure).toBeInstanceOf(MongoError)
          expect(failure).toMatchObject({ reason: "TooManySessions", code: 261 })
        }
        yield* Monitor.until(
          Effect.either(Effect.scoped(Effect.flatMap(as(Session.make({ release: "end" })), ping))),
          (result) => result._tag === "Right",
          "30 seconds"
        )
      }),
    90_000
  )
})

/** Clocks that a test sets apart from those of the machine. */
const shifted = (wall: () => number, monotonic: () => number) =>
  Effect.map(Clock.clockWith(Effect.succeed), (clock): Clock.Clock => ({
    ...clock,
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    sleep: (duration) => clock.sleep(duration),
    unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + wall(),
    unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos() + BigInt(monotonic()) * 1_000_000n,
    currentTimeMillis: Effect.sync(() => clock.unsafeCurrentTimeMillis() + wall()),
    currentTimeNanos: Effect.sync(() => clock.unsafeCurrentTimeNanos() + BigInt(monotonic()) * 1_000_000n)
  }))

describe("a clock that jumps", () => {
  const hour = Duration.toMillis("1 hour")
  const jumps = [
    ["the wall clock is set ahead", hour, 0, "SessionLapsed"],
    ["the monotonic clock goes on, as after a suspension that the wall clock missed", 0, hour, "SessionLapsed"],
    ["the wall clock is set back", -hour, 0, "used"],
    ["both jump by less than the timeout", 30_000, 30_000, "used"]
  ] as const

  it.scopedLive.each(jumps)(
    "%s: a session is what it can be on the server",
    ([, wall, monotonic, expected]) =>
      Effect.gen(function*() {
        const deployment = yield* server()
        let jumped = 0
        const clock = yield* shifted(() => jumped * wall, () => jumped * monotonic)
        yield* Effect.withClock(
          Effect.gen(function*() {
            const client = yield* clientOf(deployment, { keepAlive: false })
            const as = Effect.provideService(MongoClient.MongoClient, client)
            const session = yield* as(Session.make())
            const renewing = yield* as(Session.make({ onLapse: "renew" }))
            yield* ping(session)
            yield* ping(renewing)
            jumped = 1
            const used = yield* Effect.match(ping(session), { onFailure: ({ _tag }) => _tag, onSuccess: () => "used" })
            expect(used).toBe(expected)
            yield* ping(renewing)
            // Nothing of what the jump has made old is handed out again.
            const next = yield* as(Session.make())
            yield* ping(next)
            jumped = 0
            yield* ping(renewing)
          }),
          clock
        )
      }),
    60_000
  )
})

describe("a process that is stopped", () => {
  const stoppedFor = isLong ? "75 seconds" : "2 seconds"
  it.scopedLive(
    `for ${stoppedFor} knows afterwards whether its sessions have lapsed, and leaves none on the server`,
    () =>
      Effect.gen(function*() {
        const deployment = yield* server()
        const driver = yield* admin(deployment)
        const file = Path.join(yield* Processes.temporaryFolder, "go")
        const program = yield* Processes.start(
          new URL("../support/programs/frozen.ts", import.meta.url),
          [deployment.url, file]
        )
        expect(yield* program.firstLine).toBe("opened")
        yield* program.kill("SIGSTOP")
        yield* Effect.sleep(stoppedFor)
        yield* program.kill("SIGCONT")
        FileSystem.writeFileSync(file, "")
        yield* Effect.timeout(program.ended, "30 seconds")
        expect(yield* program.errors).toEqual([])
        expect(JSON.parse(FileSystem.readFileSync(`${file}.out`, "utf8"))).toEqual({
          failing: isLong ? "SessionLapsed" : "used",
          renewed: "used",
          again: "used"
        })
        const held = Effect.promise(() =>
          driver.db("admin").aggregate([{ $listLocalSessions: { allUsers: true } }]).toArray()
        )
        // The listing's own.
        yield* Monitor.until(held, (sessions) => sessions.length <= 1, "20 seconds")
      }),
    180_000
  )
})
