import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Either from "effect/Either"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import { Binary, Timestamp, UUID } from "mongodb"
import { consumersOf, leasesOf, onceOf, outboxesOf } from "../../inspect/src/books.js"
import { isDatabase } from "../../inspect/src/database.js"
import { bugLineIn } from "../../inspect/src/failures.js"
import { intervalOf } from "../../inspect/src/interval.js"
import { resourcesOf } from "../../inspect/src/locks.js"
import { activityOf, ownName, remembering } from "../../inspect/src/operations.js"
import { snapshotOf } from "../../inspect/src/snapshot.js"
import { again, choose, parse, rangeOf } from "../../inspect/src/target.js"
import { textOf } from "../../inspect/src/values.js"
import { ResumeToken } from "../../src/ResumeToken.js"

const now = Date.parse("2026-11-27T12:00:10Z")
const [one, two, three] = [1, 2, 3].map((n) => `${n}0000000-88ab-4c95-885a-99e28f0ef3ba`) as [string, string, string]

/** An entry of `$currentOp` about a transaction between two operations, as MongoDB 6.0 gives it. */
const idle = (session: string, txnNumber: number, seconds: number, more: object = {}) => ({
  type: "idleSession",
  desc: "inactive transaction",
  client: "127.0.0.1:51754",
  appName: "shop",
  lsid: { id: new UUID(session), uid: new Binary(new Uint8Array(32)) },
  transaction: {
    parameters: { txnNumber, txnRetryCounter: 0, autocommit: false, readConcern: { level: "local" } },
    startWallClockTime: "2026-11-27T12:00:00.000+00:00",
    timeOpenMicros: seconds * 1e6,
    timeActiveMicros: 100,
    timeInactiveMicros: seconds * 1e6,
    expiryTime: "2026-11-27T12:01:00.000+00:00"
  },
  waitingForLock: false,
  active: false,
  ...more
})

const running = (session: string | undefined, opid: number, more: object) => ({
  type: "op",
  appName: "shop",
  active: true,
  opid,
  ...(session !== undefined && { lsid: { id: new UUID(session) } }),
  microsecs_running: 250_000,
  op: "update",
  ns: "shop.orders",
  command: { q: { _id: "secret" }, comment: { span: "placeOrder", traceparent: "00-1-2-01" } },
  ...more
})

const lsidText = (session: string) => `lsid: { id: UUID("${session}"), uid: BinData(0, E3B0) }`

const locks = (granted: ReadonlyArray<object>, pending: ReadonlyArray<object> = []) =>
  resourcesOf({
    lockInfo: [
      { resourceId: "{2305843009213693953: Global, 1}", granted, pending: [] },
      { resourceId: "{8736852211147894946: Collection, 1819323183506813090, shop.orders}", granted, pending }
    ]
  })

describe("transactions", () => {
  it("are told with age, client, state, span and locks, the oldest first", () => {
    const { transactions } = activityOf(
      [idle(one, 3, 2), running(two, 7, { ...pick(idle(two, 1, 9), "transaction") })],
      locks([{ mode: "IX", debugInfo: lsidText(one) }, { mode: "IX", debugInfo: "", clientInfo: { opid: 7 } }]),
      now
    )
    expect(transactions).toEqual([
      {
        session: two,
        number: 1,
        app: "shop",
        span: "placeOrder",
        traceparent: "00-1-2-01",
        ageMs: 9000,
        idleMs: 9000,
        expiresInMs: 50_000,
        state: "running",
        operation: "update shop.orders",
        locks: ["IX shop.orders"]
      },
      {
        session: one,
        number: 3,
        app: "shop",
        client: "127.0.0.1:51754",
        ageMs: 2000,
        idleMs: 2000,
        expiresInMs: 50_000,
        state: "idle",
        locks: ["IX shop.orders"]
      }
    ])
  })

  it("have the span of a cursor that is open, and remember what they were seen to do before", () => {
    const cursor = { type: "idleCursor", ns: "shop.orders", lsid: { id: new UUID(one) } }
    const [before] = activityOf(
      [idle(one, 3, 2), { ...cursor, cursor: { originatingCommand: { find: "orders", comment: "report" } } }],
      [],
      now
    ).transactions
    expect(before).toMatchObject({ span: "report", operation: "cursor on shop.orders" })
    const later = activityOf([idle(one, 3, 4)], [], now).transactions
    expect(remembering([before!], later)).toMatchObject([{ ageMs: 4000, span: "report" }])
    // The next transaction of the session is another one.
    const next = activityOf([idle(one, 4, 1)], [], now).transactions
    expect(remembering([before!], next)[0]).not.toHaveProperty("span")
  })

  it("are none of retryable writes, of this program, or of entries that make no sense", () => {
    const entries = [
      running(one, 1, { transaction: { parameters: { txnNumber: 5 } } }),
      idle(two, 1, 2, { appName: ownName }),
      { type: "idleCursor", ns: "admin.$cmd.aggregate", lsid: { id: new UUID(three) } },
      null,
      "text",
      {}
    ]
    expect(activityOf(entries, resourcesOf("nothing"), now)).toMatchObject({ transactions: [], waiting: [] })
    expect([...activityOf(entries, [], now).doing.keys()]).toEqual([one])
  })
})

describe("who waits for whom", () => {
  it("a lock is waited for behind those who have it", () => {
    const { transactions, waiting } = activityOf(
      [idle(one, 1, 5), running(two, 9, { op: "command", command: { drop: "orders" }, waitingForLock: true })],
      locks([{ mode: "IX", debugInfo: lsidText(one) }], [{ mode: "X", clientInfo: { opid: 9 } }]),
      now
    )
    expect(transactions).toMatchObject([{ state: "idle" }])
    expect(waiting).toEqual([{
      operation: "drop shop.orders",
      session: two,
      app: "shop",
      ageMs: 250,
      wait: { kind: "lock", on: "shop.orders", holders: [{ session: one, app: "shop" }] }
    }])
  })

  it("a lock that nobody has in a mode that is in the way is waited for behind who waits in front", () => {
    const { transactions } = activityOf(
      [
        running(two, 9, { op: "command", command: { drop: "orders" }, waitingForLock: true }),
        running(three, 10, { ...pick(idle(three, 1, 1), "transaction"), waitingForLock: true })
      ],
      locks(
        [{ mode: "IX", debugInfo: lsidText(one) }],
        [{ mode: "X", clientInfo: { opid: 9 } }, { mode: "IX", clientInfo: { opid: 10 } }]
      ),
      now
    )
    expect(transactions).toMatchObject([
      { session: three, state: "waiting", wait: { holders: [{ session: two, operation: "drop shop.orders" }] } }
    ])
  })

  it("a write conflict is one with a transaction that may write there; not with itself, nor with a plain write", () => {
    const { waiting } = activityOf(
      [idle(one, 1, 5), running(two, 9, { writeConflicts: 12 }), running(three, 10, {})],
      locks(
        [
          { mode: "IX", debugInfo: lsidText(one) },
          { mode: "IX", clientInfo: { opid: 9 } },
          { mode: "IX", clientInfo: { opid: 10 } }
        ]
      ),
      now
    )
    expect(waiting).toMatchObject([
      { span: "placeOrder", wait: { kind: "conflict", on: "shop.orders", holders: [{ session: one }] } }
    ])
  })

  it("where locks are not known, it waits for nobody that is named", () => {
    const { waiting } = activityOf([running(one, 1, { waitingForLock: true })], [], now)
    expect(waiting).toMatchObject([{ wait: { kind: "lock", holders: [] } }])
  })
})

describe("the library's collections", () => {
  const books = {
    database: "shop",
    messages: new Map([["mails", { count: 5, oldest: { at: seconds(now / 1000 - 7) } }], ["old", {
      count: 3,
      oldest: undefined
    }]]),
    relays: [{ _id: "mails/relay", session: one, updatedAt: new Date(now - 1500), delivered: ["a", "b"] }],
    checkpoints: [
      {
        _id: "invoices",
        session: two,
        token: new ResumeToken({ _data: `82${(now / 1000 - 60).toString(16).toUpperCase()}00000001` }).toString()
      },
      { _id: "new", time: seconds(now / 1000 - 5) },
      { _id: "damaged", token: "rt1.nonsense" }
    ],
    // Of a consumer and an outbox of one name each has its own.
    deadLetters: [
      { _id: { consumer: "mails" }, count: 5 },
      { _id: { outbox: "mails" }, count: 2 },
      { _id: { outbox: "new" }, count: 7 },
      { _id: { consumer: "new" }, count: 3 },
      { _id: { outbox: "invoices" }, count: 9 }
    ],
    leases: [{ _id: "effect_mongo_session/cleaner", owner: "host 1", token: 4n, expiresAt: new Date(now + 9000) }, {}],
    keys: [
      { _id: "effect_mongo_session/placing/k2", state: "failed", at: new Date(now - 1000) },
      { _id: "effect_mongo_session/placing/k1", state: "succeeded", at: new Date(now - 9000) }
    ]
  }
  const isOpen = (session: unknown) => session === one

  it("an outbox lags as its oldest message is old; what is noted as delivered is not pending", () => {
    expect(outboxesOf(books, isOpen, now)).toEqual([
      { database: "shop", name: "mails", pending: 3, lagMs: 7000, relay: "seen", notedMs: 1500, deadLetters: 2 },
      { database: "shop", name: "old", pending: 0, relay: "none", deadLetters: 0 }
    ])
  })

  it("dead letters that could not be counted are not none", () => {
    const uncounted = { ...books, deadLetters: undefined }
    for (const one of [...outboxesOf(uncounted, isOpen, now), ...consumersOf(uncounted, isOpen, now)]) {
      expect(one).not.toHaveProperty("deadLetters")
    }
    expect(outboxesOf({ ...books, deadLetters: [] }, isOpen, now)).toMatchObject([{ deadLetters: 0 }, {
      deadLetters: 0
    }])
  })

  it("a consumer lags as the event is old that it has noted, and one that cannot be read is shown without", () => {
    expect(consumersOf(books, isOpen, now)).toEqual([
      { database: "shop", name: "invoices", lagMs: 60_000, state: "not seen", deadLetters: 0 },
      { database: "shop", name: "new", lagMs: 5000, state: "not seen", deadLetters: 3 },
      { database: "shop", name: "damaged", state: "not seen", deadLetters: 0 }
    ])
  })

  it("leases are shown with holder, token and time; keys are counted by name, and never shown", () => {
    expect(leasesOf(books, now)).toEqual([
      { database: "shop", name: "cleaner", holder: "host 1", token: 4, expiresInMs: 9000 },
      { database: "shop", name: "?" }
    ])
    const placing = { database: "shop", name: "placing", kind: "once", keys: 2, failed: 1, newestMs: 1000 }
    expect(onceOf(books, now)).toEqual([placing])
  })

  it("the keys of steps are told apart from those of the same name", () => {
    const keyOf = (_id: string) => ({ _id: `effect_mongo_session/${_id}`, at: new Date(now - 1000) })
    const keys = ["/ordering/a/charge", "ordering/a", "/ordering/a/take"].map(keyOf)
    const ordering = { database: "shop", name: "ordering", failed: 0, newestMs: 1000 }
    expect(onceOf({ ...books, keys }, now)).toEqual([
      { ...ordering, kind: "steps", keys: 2 },
      { ...ordering, kind: "once", keys: 1 }
    ])
  })
})

describe("a picture", () => {
  const read = {
    hosts: ["localhost:27017"],
    kind: "replicaSet",
    hello: { localTime: new Date(now), setName: "rs0" },
    buildInfo: {},
    operations: [idle(one, 3, 2), running(two, 1, {})],
    locks: {},
    sessions: [one, three].map((session) => ({ session, user: "app@admin", lastUse: now - 500 })),
    listedCount: 2,
    books: [],
    onceCount: 0,
    missing: []
  }

  it("goes by the server's clock, and lists sessions that do something first", () => {
    const snapshot = snapshotOf(read, undefined, 0)
    expect(snapshot).toMatchObject({ at: "2026-11-27T12:00:10.000Z", deployment: "replica set rs0", sessionCount: 3 })
    expect(snapshot.transactions).toMatchObject([{ session: one, user: "app@admin" }])
    expect(snapshot.sessions).toEqual([
      { session: two, app: "shop", doing: "update shop.orders" },
      { session: one, user: "app@admin", usedMs: 500, app: "shop", doing: "transaction 3" },
      { session: three, user: "app@admin", usedMs: 500 }
    ])
  })

  it("counts all sessions that the server has, and tells those of which it was told", () => {
    const many = snapshotOf({ ...read, listedCount: 12_000 }, undefined, 0)
    expect(many.sessionCount).toBe(12_001)
    expect(many.sessions).toHaveLength(3)
  })

  it("finds what is to be killed by the beginning of an id, and a transaction by its number", () => {
    const snapshot = snapshotOf(read, undefined, 0)
    const find = (named: string, known: Parameters<typeof choose>[1]) =>
      Either.flatMap(parse(named), (named) => choose(named, known))
    const [transaction] = snapshot.transactions
    expect(find("1000", snapshot)).toEqual(Either.right({ session: one, transaction }))
    expect(find(`${one.toUpperCase()}/3`, snapshot)).toEqual(Either.right({ session: one, transaction }))
    const digits = one.replaceAll("-", "")
    for (const named of [digits, `${digits}/3`, digits.slice(0, 11), `${one.slice(0, 8)}-`]) {
      expect(find(named, snapshot), named).toEqual(Either.right({ session: one, transaction }))
    }
    expect(find("2000", snapshot)).toEqual(Either.right({ session: two, transaction: undefined }))
    expect(find("1000/4", snapshot)).toEqual(Either.left(expect.stringContaining("is not open")))
    expect(find("2000/3", snapshot)).toEqual(Either.left(expect.stringContaining("is not open")))
    expect(find("4000", snapshot)).toEqual(Either.left(expect.stringContaining("knows no session")))
    for (const named of ["", "1", "100", "/3", "1000/", "1000/x", "zzzz", "....", "1---", `${one}0`, "1".repeat(33)]) {
      expect(find(named, snapshot)).toEqual(Either.left(expect.stringContaining("name a session")))
    }
    const alike = { ...snapshot, sessions: [{ session: one }, { session: `1000ffff${two.slice(8)}` }] }
    expect(find("1000", alike)).toEqual(Either.left(expect.stringContaining("2 sessions")))
  })

  it("kills no other transaction than the one that was named or shown, and tells what it kills as it is then", () => {
    const { sessions, transactions: [transaction] } = snapshotOf(read, undefined, 0)
    const third = transaction!
    const [older, fourth] = [{ ...third, ageMs: 60_000 }, { ...third, number: 4 }]
    const known = (...transactions: ReadonlyArray<typeof third>) => ({ sessions, transactions })
    const named = { start: "1000", number: undefined }
    const [busy, idle] = [{ session: one, transaction: third }, { session: one, transaction: undefined }]
    for (const isAsked of [true, false]) {
      expect(again(named, busy, known(older), isAsked)).toEqual(Either.right({ session: one, transaction: older }))
      expect(again(named, busy, known(), isAsked)).toEqual(Either.right(idle))
      expect(again(named, idle, known(), isAsked)).toEqual(Either.right(idle))
      for (const open of [[], [fourth]]) {
        expect(again({ ...named, number: 3 }, busy, known(...open), isAsked))
          .toEqual(Either.left(expect.stringContaining("transaction 3")))
      }
    }
    for (const shown of [busy, idle]) {
      expect(again(named, shown, known(fourth), true)).toEqual(Either.left(expect.stringContaining("transaction 4")))
      // Whoever does not want to be asked means the session, whatever it does.
      expect(again(named, shown, known(fourth), false))
        .toEqual(Either.right({ session: one, transaction: fourth }))
    }
  })

  it("asks the server for all ids that begin so", () => {
    expect(rangeOf("1ae8")).toEqual(["1ae80000000000000000000000000000", "1ae8ffffffffffffffffffffffffffff"])
    expect(rangeOf("1ae86751-8")).toEqual(["1ae86751800000000000000000000000", "1ae867518fffffffffffffffffffffff"])
    expect(rangeOf(one)).toEqual([one.replaceAll("-", ""), one.replaceAll("-", "")])
    expect(rangeOf("f".repeat(36))).toEqual(["f".repeat(32), "f".repeat(32)])
  })

  it("says of a bug in one line where it is, and nothing that its message quotes", () => {
    const lineOf = (defect: unknown) => Option.getOrThrow(bugLineIn(Cause.die(defect)))
    expect(lineOf(new TypeError("cannot connect to mongodb://user:topsecret@host/\nor so"))).toMatch(
      /^this is a bug of the program: TypeError at \S.*inspect\.model\.test\.ts:\d+:\d+\)?$/
    )
    expect(lineOf("topsecret")).toBe("this is a bug of the program: string")
    expect(lineOf(Object.assign(new Error("no"), { stack: undefined }))).toBe("this is a bug of the program: Error")
    expect(bugLineIn(Cause.fail("told by others"))).toEqual(Option.none())
    expect(bugLineIn(Cause.interrupt(FiberId.none))).toEqual(Option.none())
  })

  it("shows no character that would change the terminal", () => {
    expect(textOf("a\u001b[2Jb\u202ec\nd\u0000e")).toBe("a[2Jbcde")
  })

  it("is of databases whose names MongoDB allows", () => {
    expect(["shop", "shop-2", "Geschäft", "x".repeat(63), "a\u001b[2Jb\n"].every(isDatabase)).toBe(true)
    for (
      const name of ["", "shop.orders", ".", "a b", "a/b", "a\\b", "a\"b", "$a", "a\0b", "x".repeat(64), "ä".repeat(32)]
    ) {
      expect(isDatabase(name), name).toBe(false)
    }
  })

  it("is taken as often as asked, but not more often than ten times a second", () => {
    const read = (text: string) => intervalOf(text)
    expect(["100ms", "1s", "1.5s", "2m"].map((text) => read(text)._tag)).toEqual(Array(4).fill("Some"))
    expect(["", "1", "s", "99ms", "0s", "-1s", "1 s", "1h", "1e3s"].map((text) => read(text)._tag))
      .toEqual(Array(9).fill("None"))
  })
})

function seconds(at: number): Timestamp {
  return new Timestamp({ t: at, i: 1 })
}

function pick(entry: ReturnType<typeof idle>, field: "transaction") {
  return { [field]: entry[field] }
}
