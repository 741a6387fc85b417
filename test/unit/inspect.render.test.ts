import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Snapshot, Transaction } from "../../inspect/src/model.js"
import { age, render } from "../../inspect/src/render.js"
import { hasColour, live, plain } from "../../inspect/src/screen.js"
import { fit, table, width } from "../../inspect/src/table.js"
import { nothing } from "../support/inspect/snapshots.js"

const transaction = (n: number, more: Partial<Transaction> = {}): Transaction => ({
  session: `${String(n).padStart(8, "0")}-88ab-4c95-885a-99e28f0ef3ba`,
  number: n,
  app: "checkout-service",
  span: "placeOrder",
  ageMs: (100 - n) * 1000,
  idleMs: 0,
  expiresInMs: 60_000,
  state: "idle",
  operation: "update shop.orders",
  locks: ["IX shop.orders", "IX shop.stock"],
  ...more
})

const busy: Snapshot = {
  ...nothing,
  transactions: Array.from({ length: 50 }, (_, n) => transaction(n)),
  waiting: [{
    operation: "drop shop.orders",
    ageMs: 3000,
    wait: {
      kind: "lock",
      on: "shop.orders",
      holders: [1, 2, 3, 4].map((n) => ({ session: transaction(n).session, span: "placeOrder" }))
    }
  }],
  sessionCount: 51,
  sessions: [{ session: transaction(99).session, usedMs: 10 }],
  outboxes: [{ database: "shop", name: "mails", pending: 1200, lagMs: 7000, relay: "none", deadLetters: 0 }],
  consumers: [{ database: "shop", name: "invoices", lagMs: 90_000, state: "seen", deadLetters: 0 }],
  leases: [{ database: "shop", name: "cleaner", holder: "host", token: 4, expiresInMs: -1 }],
  onceCount: 1,
  once: [{ database: "shop", name: "placing", kind: "once", keys: 1, failed: 0, newestMs: 0 }],
  missing: [{ what: "locks, and who waits for whom", why: "needs the privilege inprog" }]
}

const textsOf = (snapshot: Snapshot, columns: number, rows?: number) =>
  render(snapshot, { columns, ...(rows !== undefined && { rows }) }).map(({ text }) => text)

describe("the picture", () => {
  it("of nothing says so", () => {
    expect(textsOf(nothing, 80)).toEqual([
      "localhost:27017  replica set rs0, MongoDB 6.0.5  2026-11-27T12:00:10Z",
      "",
      "TRANSACTIONS  none is open",
      "",
      "none: outboxes, consumers, leases, once keys"
    ])
  })

  it("at 80 columns has what matters of each transaction, and who is waited for below who waits", () => {
    const lines = textsOf({ ...busy, transactions: busy.transactions.slice(0, 2) }, 80)
    expect(lines.slice(0, 9)).toEqual([
      "localhost:27017  replica set rs0, MongoDB 6.0.5  2026-11-27T12:00:10Z",
      "not shown: locks, and who waits for whom (needs the privilege inprog)",
      "",
      "TRANSACTIONS  2 open, the oldest for 1m40s",
      expect.stringMatching(/^SESSION {3}TXN {4}AGE {2}STATE {2}OPERATION +LOCKS +APP +SPAN$/),
      expect.stringMatching(/^00000000 {4}0 {2}1m40s {2}idle +update shop\S*… +IX.*… +chec.*… +placeOrder$/),
      expect.stringMatching(/^00000001/),
      "",
      "WAITING  1 operation outside of transactions"
    ])
    expect(lines).toContain("          └ waits on shop.orders for 4: 00000001 (placeOrder), 00000002 (placeO…")
  })

  it.each([[80, 24], [80, 50], [120, 30], [40, 12], [20, 5], [1, 1]])(
    "is never larger than %d columns and %d rows",
    (columns, rows) => {
      const lines = textsOf(busy, columns, rows)
      expect(lines.length).toBeLessThanOrEqual(rows)
      for (const line of lines) expect(width(line), line).toBeLessThanOrEqual(columns)
    }
  )

  it("on a low terminal keeps the title of each section, and says how many lines there are more", () => {
    const lines = textsOf(busy, 80, 24)
    for (const title of ["TRANSACTIONS", "WAITING", "OUTBOXES", "CONSUMERS", "LEASES", "ONCE", "SESSIONS"]) {
      expect(lines.some((line) => line.startsWith(title)), title).toBe(true)
    }
    const shown = lines.filter((line) => /^000000\d\d +\d+ /.test(line)).length
    expect(shown).toBeGreaterThan(0)
    expect(lines).toContain(`… ${50 - shown} more`)
    expect(textsOf(busy, 80).filter((line) => /^000000\d\d +\d+ /.test(line))).toHaveLength(50)
  })

  it("warns of a transaction that has had half of its time, and of an outbox that nobody relays", () => {
    const lines = render(
      {
        ...busy,
        transactions: [transaction(0, { expiresInMs: 10 }), transaction(1, { state: "waiting", expiresInMs: 1e9 })]
      },
      { columns: 80 }
    )
    const toneOf = (start: string) => lines.find(({ text }) => text.startsWith(start))?.tone
    expect([toneOf("00000000"), toneOf("00000001"), toneOf("shop: mails"), toneOf("shop: invoices")])
      .toEqual(["warn", "bad", "warn", "plain"])
  })

  it("marks the keys of steps", () => {
    const kinds = (["once", "steps"] as const).map((kind) => ({ ...busy.once[0]!, kind }))
    const lines = textsOf({ ...busy, once: kinds }, 80)
    expect(lines.filter((line) => line.startsWith("shop: placing")).map((line) => line.split(/ {2,}/)[0]))
      .toEqual(["shop: placing", "shop: placing (steps)"])
  })

  it("writes times in few characters", () => {
    expect([undefined, 0, 812, 59_940, 59_960, 245_000, 7_980_000, 273_600_000, -1500].map(age))
      .toEqual(["?", "0.0s", "0.8s", "59.9s", "0m59s", "4m05s", "2h13m", "3d04h", "-1.5s"])
  })
})

describe("a table", () => {
  it("counts cells as a terminal does, and cuts between characters", () => {
    expect(width("日本a\u0301")).toBe(5)
    expect(fit("日本語", 4)).toBe("日…")
    expect(fit("abc", 0)).toBe("")
    expect(fit("abc", 3)).toBe("abc")
  })

  it.each([
    ["an ideograph beyond the BMP", "\u{20000}"],
    ["an ideograph of the third plane", "\u{30000}"],
    ["Tangut", "\u{17000}"],
    ["a supplement of kana", "\u{1b000}"],
    ["old Hangul", "\ua960"],
    ["a modifier of emoji", "\u{1f3fd}"],
    ["an emoji", "\u{1f600}"],
    ["a narrow character that is asked to be an emoji", "\u2764\ufe0f"]
  ])("counts two cells for %s", (_, text) => {
    expect(width(text)).toBe(2)
    expect(width(fit(text.repeat(10), 7))).toBeLessThanOrEqual(7)
  })

  it("counts what stands beside a character, and not what stands on it", () => {
    expect(width("क\u093e")).toBe(2)
    expect(width("e\u0301\u20dd")).toBe(1)
    expect(width("é日ё…")).toBe(5)
  })

  it("puts no more marks on a character than languages have", () => {
    const piled = `a${"\u0301".repeat(1000)}b\u0301`
    expect(fit(piled, 80)).toBe(`a${"\u0301".repeat(4)}b\u0301`)
    expect(fit(piled.repeat(3), 2)).toBe(`a${"\u0301".repeat(4)}…`)
    const [, row] = table([{ title: "A" }, { title: "B" }], [[piled, "b"]], 20)
    expect(row).toBe(`a${"\u0301".repeat(4)}b\u0301  b`)
  })

  it("leaves out columns with nothing in them, and narrows those that may be", () => {
    const columns = [{ title: "A" }, { title: "EMPTY" }, { title: "LONG", least: 5 }, {
      title: "N",
      align: "right" as const
    }]
    expect(table(columns, [["aaaa", "", "x".repeat(30), "1"], ["a", "", "y", "22"]], 20)).toEqual([
      "A     LONG         N",
      "aaaa  xxxxxxxxx…   1",
      "a     y           22"
    ])
  })
})

describe("a screen", () => {
  const output = (isTTY: boolean) => {
    const written: Array<string> = []
    const write = (text: string, done: () => void) => {
      written.push(text)
      done()
    }
    return { isTTY, columns: 80, rows: 24, written, write }
  }
  const lines = [{ text: "title", tone: "title" }, { text: "line", tone: "plain" }] as const

  it.effect("a terminal is given back as it was, also after a failure and an interruption", () =>
    Effect.gen(function*() {
      for (const end of [Effect.void, Effect.fail("broken"), Effect.interrupt, Effect.die("bug")]) {
        const terminal = output(true)
        const exit = yield* Effect.exit(Effect.scoped(
          Effect.flatMap(live(terminal, true), (screen) => Effect.zipRight(screen.show(lines), end))
        ))
        expect(Exit.isSuccess(exit)).toBe(end === Effect.void)
        expect(terminal.written[0]).toBe("\u001b[?1049h\u001b[?25l\u001b[2J")
        expect(terminal.written[1]).toBe("\u001b[H\u001b[1mtitle\u001b[0m\u001b[K\r\nline\u001b[K\u001b[J")
        expect(terminal.written.at(-1)).toBe("\u001b[?25h\u001b[?1049l")
      }
    }))

  it.effect("what is no terminal gets no escape codes, and neither does who wants no colours", () =>
    Effect.gen(function*() {
      const file = output(false)
      yield* plain(file, hasColour(file, {})).show(lines)
      expect(file.written).toEqual(["title\nline\n"])
      expect(hasColour(output(true), {})).toBe(true)
      expect(hasColour(output(true), { NO_COLOR: "1" })).toBe(false)
      expect(hasColour(output(true), { NO_COLOR: "" })).toBe(true)
      expect(hasColour(output(true), { TERM: "dumb" })).toBe(false)
    }))
})
