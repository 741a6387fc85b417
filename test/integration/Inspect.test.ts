import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { UUID } from "mongodb"
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { TestContext } from "vitest"
import { gather } from "../../inspect/src/gather.js"
import { kill, knownOf } from "../../inspect/src/kill.js"
import type { Snapshot } from "../../inspect/src/model.js"
import { render } from "../../inspect/src/render.js"
import { choose, parse } from "../../inspect/src/target.js"
import * as Collection from "../../src/Collection.js"
import * as Lease from "../../src/Lease.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Once from "../../src/Once.js"
import * as Outbox from "../../src/Outbox.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import { hasTerminals, run, screenOf } from "../support/programs/screen.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"
import { isBuilt } from "../tools/built.js"
import { startProgram } from "../tools/child.js"

const folder = fileURLToPath(new URL("../../inspect/", import.meta.url))
const program = join(folder, "dist/main.js")
const isInstalled = existsSync(join(folder, "node_modules/.installed")) && isBuilt(program, join(folder, "src"))

const needsProgram = (context: TestContext) => {
  const reason = !isInstalled
    ? "inspect is not installed: `npm run inspect -- --help` does it"
    : !hasTerminals
    ? "no `script` here, which makes pseudo terminals"
    : undefined
  if (reason === undefined) return
  context.task.meta.skipReason = reason
  context.skip(reason)
}

/** So many transactions that each have a cursor open, until the scope closes. */
const open = (count: number) =>
  Effect.gen(function*() {
    const database = yield* TestServer.database
    const { client } = yield* Monitor.connect({ database, telemetry: { comments: true }, driver: { appName: "shop" } })
    const as = Effect.provideService(MongoClient.MongoClient, client)
    const Orders = Collection.make("orders")
    yield* as(Orders.insertMany(Array.from({ length: count }, (_, _id) => ({ _id, n: 1 }))))
    const fibers = yield* Effect.forEach(Array.from({ length: count }, (_, n) => n), (_id) =>
      Orders.updateOne({ _id }, { $inc: { n: 1 } }).pipe(
        Effect.zipRight(Stream.runForEach(Orders.find({}, { batchSize: 1 }), () =>
          Effect.never)),
        Transaction.run(),
        Effect.withSpan(`order ${_id}`),
        as,
        Effect.forkScoped
      ))
    const shown = (snapshot: Snapshot) =>
      snapshot.transactions.filter(({ locks, span }) =>
        span?.startsWith("order ") && locks.includes(`IX ${database}.orders`)
      )
    const look = Effect.provideService(gather({ databases: [database] }, undefined), MongoClient.MongoClient, client)
    const snapshot = yield* Monitor.until(look, (snapshot) =>
      shown(snapshot).length === count)
    return { as, client, database, fibers, look, shown: shown(snapshot), snapshot }
  })

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  it.scoped("the picture has each transaction with age, locks, app and span", () =>
    Effect.gen(function*() {
      const { database, shown, snapshot } = yield* open(5)
      expect(new Set(shown.map(({ span }) => span)).size).toBe(5)
      for (const one of shown) {
        expect(one).toMatchObject({ state: "idle", app: "shop", operation: `cursor on ${database}.orders` })
        expect(one.traceparent).toMatch(/^00-\w{32}-\w{16}-01$/)
        expect(one.ageMs).toBeLessThan(60_000)
        // The clock by which the server tells what is open lags by its tick behind the one by which a transaction expires.
        expect(one.ageMs + (one.expiresInMs ?? 0)).toSatisfy((millis: number) => Math.abs(millis - 60_000) < 500)
      }
      expect(snapshot.missing).toEqual([])
      for (const { text } of render(snapshot, { columns: 80, rows: 24 })) expect(text.length).toBeLessThanOrEqual(80)
    }))

  it.scoped("who writes what a transaction has written, and who drops it, is shown with whom it waits for", () =>
    Effect.gen(function*() {
      const { as, client, database, fibers, look } = yield* open(1)
      const Orders = Collection.make("orders")
      yield* Effect.forkScoped(
        as(Effect.ignore(Effect.withSpan(Orders.updateOne({ _id: 0 }, { $inc: { n: 1 } }), "late")))
      )
      const writes = yield* Monitor.until(look, ({ waiting }) => waiting.some(({ wait }) => wait.holders.length > 0))
      expect(writes.waiting).toMatchObject([
        { span: "late", wait: { kind: "conflict", on: `${database}.orders`, holders: [{ span: "order 0" }] } }
      ])
      yield* Effect.forkScoped(
        Effect.ignore(Effect.tryPromise(() => client.driver.db(database).dropCollection("orders")))
      )
      const drops = yield* Monitor.until(
        look,
        ({ waiting }) => waiting.some(({ operation }) => operation.startsWith("drop"))
      )
      expect(drops.waiting.find(({ operation }) => operation === `drop ${database}.orders`)).toMatchObject({
        // And the write, at the moments at which it tries again.
        wait: {
          kind: "lock",
          on: `${database}.orders`,
          holders: expect.arrayContaining([expect.objectContaining({ span: "order 0" })])
        }
      })
      // Before those who wait for it: a write is waited for.
      yield* Fiber.interruptAll(fibers)
    }))

  it.scoped("a session is found by its beginning, killed, and its transaction is gone", () =>
    Effect.gen(function*() {
      const { as, fibers, look, shown } = yield* open(2)
      const [first, second] = shown
      const named = yield* parse(`${first!.session.slice(0, 12)}/${first!.number}`)
      const target = yield* choose(named, yield* as(knownOf(named.start)))
      expect(target).toMatchObject({
        session: first!.session,
        transaction: { number: first!.number, app: "shop", span: first!.span, operation: first!.operation }
      })
      expect(yield* as(kill(target.session))).toBe(true)
      const { transactions } = yield* look
      const sessions = transactions.map(({ session }) => session)
      expect(sessions).not.toContain(first!.session)
      expect(sessions).toContain(second!.session)
      expect(yield* as(kill("00000000-0000-4000-8000-000000000000"))).toBe(false)
      yield* Fiber.interruptAll(fibers)
    }))

  it.scoped("a session is found among more than a window shows, all are counted, and those used last are shown", () =>
    Effect.gen(function*() {
      const { client, monitor } = yield* Monitor.connect()
      const as = Effect.provideService(MongoClient.MongoClient, client)
      const admin = client.driver.db("admin")
      const ids = Array.from({ length: 12_000 }, () => ({ id: new UUID() }))
      for (const some of [ids.slice(0, 6000), ids.slice(6000)]) {
        yield* Effect.promise(() => admin.command({ refreshSessions: some }))
      }
      const { sessionCount, sessions } = yield* as(gather({ databases: [yield* TestServer.database] }, undefined))
      expect(sessionCount).toBeGreaterThanOrEqual(12_000)
      expect(sessions).toHaveLength(1000)
      const older = new Set(ids.slice(0, 6000).map(({ id }) => id.toString()))
      expect(sessions.filter(({ doing, session }) => doing === undefined && older.has(session))).toEqual([])
      yield* monitor.clear
      for (const id of [ids[0]!, ids[11_999]!].map(({ id }) => id.toString())) {
        expect((yield* as(knownOf(id.slice(0, 18)))).sessions).toMatchObject([{ session: id }])
        expect(yield* as(kill(id))).toBe(true)
      }
      // All others stay where they are: on the server.
      const batches = (yield* monitor.commands).map(({ name }) => name).filter((name) => name === "getMore")
      expect(batches).toEqual([])
      yield* Effect.promise(() => admin.command({ endSessions: ids.slice(0, 6000) }))
      yield* Effect.promise(() => admin.command({ endSessions: ids.slice(6000) }))
      // Only then are they gone.
      yield* Effect.promise(() => admin.command({ refreshLogicalSessionCacheNow: 1 }))
    }))

  it.scoped("the name of a database is shown without what would change a terminal", () =>
    Effect.gen(function*() {
      const { client } = yield* Monitor.connect()
      const as = Effect.provideService(MongoClient.MongoClient, client)
      const database = `${yield* TestServer.database}\u001b[2J\n`
      yield* as(Once.make("placing", { database }).run("key", Effect.void))
      const snapshot = yield* as(gather({ databases: [database] }, undefined))
      expect(snapshot.once).toMatchObject([{ database: database.replaceAll(/\p{Cc}/gu, ""), name: "placing", keys: 1 }])
      for (const { text } of render(snapshot, { columns: 80 })) expect(text).not.toMatch(/\p{Cc}/u)
      yield* Effect.promise(() => client.driver.db(database).dropDatabase())
    }))

  it.scoped("outboxes, leases and keys are shown, with what waits in them", () =>
    Effect.gen(function*() {
      const { as, database, look } = yield* open(0)
      const Mails = Outbox.make("mails")
      yield* as(Transaction.run(Mails.publishAll([{ to: "a" }, { to: "b" }])))
      yield* as(Once.make("placing").run("a key that nobody else may see", Effect.void))
      const { token } = yield* as(Lease.make("cleaner").acquire)
      const waits = yield* look
      expect(waits.leases).toMatchObject([{ database, name: "cleaner", token, holder: expect.any(String) }])
      expect(waits.leases[0]?.expiresInMs).toBeGreaterThan(0)
      expect(waits.outboxes).toMatchObject([{ database, name: "mails", pending: 2, relay: "none", deadLetters: 0 }])
      expect(waits.outboxes[0]?.lagMs).toBeLessThan(60_000)
      expect(waits.once).toMatchObject([{ database, name: "placing", keys: 1, failed: 0 }])
      expect(JSON.stringify(waits)).not.toContain("nobody else")
      const relay = yield* Effect.forkScoped(as(Stream.runDrain(Mails.relay(() => Effect.never))))
      const relayed = yield* Monitor.until(look, ({ outboxes }) => outboxes[0]?.relay === "seen")
      expect(relayed.outboxes).toMatchObject([{ pending: 2 }])
      yield* Fiber.interrupt(relay)
    }))

  it.scoped("on a terminal it redraws 50 transactions in place, and gives the terminal back on Ctrl-C", (context) =>
    Effect.gen(function*() {
      needsProgram(context)
      const { url } = yield* MongoServer.MongoServer
      const { database, shown } = yield* open(50)
      const terminal = run([program, "inspect", url, "--every", "200ms", "--database", database], {
        columns: 80,
        rows: 24
      })
      // Drawn twice.
      yield* Effect.promise(() => terminal.until((written) => written.split("\u001b[H").length > 2))
      const drawn = terminal.written()
      terminal.type("\u0003")
      // As a shell says of what SIGINT has ended.
      expect(yield* Effect.promise(() => terminal.ended)).toBe(130)
      expect(terminal.written().endsWith("\u001b[?25h\u001b[?1049l")).toBe(true)
      const screen = screenOf(drawn.slice(0, drawn.lastIndexOf("\u001b[H")), 80, 24)
      // Those of other tests are on the same server.
      const [, count] = /TRANSACTIONS {2}(\d+) open, the oldest for /.exec(screen.join("\n")) ?? []
      expect(Number(count)).toBeGreaterThanOrEqual(shown.length)
      expect(screen.join("\n")).toMatch(/^[0-9a-f]{8} +\d +\d+\.\ds +idle +cursor on .* +IX .* +shop +order \d+$/m)
      if (process.env["SHOW_SCREEN"] !== undefined) console.log(screen.join("\n"))
    }))

  it.scoped("on a terminal it asks before it kills, and kills nothing that is not meant", (context) =>
    Effect.gen(function*() {
      needsProgram(context)
      const { url } = yield* MongoServer.MongoServer
      const { as, shown } = yield* open(1)
      const { number, session } = shown[0]!
      const isOpen = Effect.map(as(knownOf(session)), ({ transactions }) => transactions.length === 1)
      const answered = (key: string) =>
        Effect.promise(async () => {
          const terminal = run([program, "kill", url, `${session}/${number}`], { columns: 200, rows: 24 })
          await terminal.until((written) => written.includes("Kill session"))
          terminal.type(key)
          return { code: await terminal.ended, written: terminal.written() }
        })
      const asked = `Kill session ${session} with transaction ${number}, open for `
      for (const [key, end] of [["n", 1], ["\r", 1], ["\u0003", 130]] as const) {
        const { code, written } = yield* answered(key)
        expect(written).toContain(asked)
        expect(written).toContain("nothing was killed")
        expect(code).toBe(end)
        expect(yield* isOpen).toBe(true)
      }
      const { code, written } = yield* answered("y")
      expect(written).toContain(`killed: session ${session} with transaction ${number}`)
      expect(code).toBe(0)
      expect(yield* isOpen).toBe(false)
    }))

  it.scoped("SIGTERM ends it with the code that a shell gives for that", (context) =>
    Effect.gen(function*() {
      needsProgram(context)
      const { url } = yield* MongoServer.MongoServer
      const watching = ["inspect", url, "--every", "200ms", "--database", yield* TestServer.database]
      const { child, ended, firstLine } = startProgram(program, watching, { stdio: ["ignore", "pipe", "inherit"] })
      expect(yield* Effect.promise(() => firstLine)).toBeDefined()
      child.kill("SIGTERM")
      expect(yield* Effect.promise(() => ended)).toBe("ended with exit code 143")
    }))

  it.scoped("a reader that has enough ends it without a word, and with the code of SIGPIPE", (context) =>
    Effect.gen(function*() {
      needsProgram(context)
      const { url } = yield* MongoServer.MongoServer
      const watching = ["inspect", url, "--json", "--every", "100ms", "--database", yield* TestServer.database]
      const { child, ended, firstLine } = startProgram(program, watching, { stdio: ["ignore", "pipe", "pipe"] })
      let said = ""
      child.stderr?.on("data", (data) => said += String(data))
      expect(JSON.parse((yield* Effect.promise(() => firstLine)) ?? "")).toHaveProperty("transactions")
      child.stdout?.destroy()
      expect(yield* Effect.promise(() => ended)).toBe("ended with exit code 141")
      expect(said).toBe("")
    }))

  it.scoped("elsewhere it prints JSON or plain lines, and fails in one line that has no secret", (context) =>
    Effect.gen(function*() {
      needsProgram(context)
      const { url } = yield* MongoServer.MongoServer
      const { database, shown } = yield* open(3)
      const called = (...args: ReadonlyArray<string>) =>
        Effect.async<{ readonly code: unknown; readonly out: string; readonly err: string }>((resume) => {
          execFile(
            process.execPath,
            [program, ...args],
            (error, out, err) => resume(Effect.succeed({ code: error === null ? 0 : error.code, out, err }))
          )
        })
      const secret = "mongodb://user:topsecret@127.0.0.1:1/?serverSelectionTimeoutMS=100"
      const json = yield* called("inspect", url, "--json", "--database", database)
      const [killed, unreachable, misused, misnamed] = yield* Effect.all([
        called("kill", url, `${shown[0]!.session}/${shown[0]!.number}`, "--yes"),
        called("inspect", secret),
        called("inspect", secret, secret),
        called("inspect", secret, "--database", "shop", "--database", "shop.orders")
      ], { concurrency: 2 })
      expect(json).toMatchObject({ code: 0, err: "" })
      const snapshot: Snapshot = JSON.parse(json.out)
      expect(snapshot.transactions.map(({ session }) => session)).toEqual(
        expect.arrayContaining(shown.map(({ session }) => session))
      )
      expect(killed).toMatchObject({ code: 0, out: expect.stringContaining(`killed: session ${shown[0]!.session}`) })
      expect(unreachable).toMatchObject({
        code: 1,
        out: "",
        err: expect.stringMatching(/^[^\n]*no server answers[^\n]*\n$/)
      })
      expect(misused.code).toBe(2)
      expect(misnamed).toMatchObject({ code: 2, out: "", err: expect.stringContaining("not shop.orders") })
      for (const { err, out } of [json, killed, unreachable, misused, misnamed]) {
        expect(out + err).not.toContain("topsecret")
        expect(out + err).not.toContain("\u001b")
      }
    }))
})
