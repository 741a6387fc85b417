/**
 * The picture as lines of text.
 */
import type { Holder, Snapshot, Transaction, Wait } from "./model.js"
import { type Column, fit, table } from "./table.js"

/** A line, and how it is to be shown where there are colours. */
export interface Line {
  readonly text: string
  readonly tone: "title" | "head" | "plain" | "warn" | "bad" | "dim"
}

/** The room that there is. Without `rows`, all of it. */
export interface Room {
  readonly columns: number
  readonly rows?: number
}

interface Section {
  readonly title: string
  readonly tone?: Line["tone"]
  readonly columns: ReadonlyArray<Column>
  readonly rows: ReadonlyArray<Row>
}

interface Row {
  readonly cells: ReadonlyArray<string>
  readonly tone: Line["tone"]
  /** What is said of it below. */
  readonly note?: string | undefined
}

/** A time in few characters: `0.8s`, `12.3s`, `4m05s`, `2h13m`, `3d04h`. */
export const age = (ms: number | undefined): string => {
  if (ms === undefined) return "?"
  if (ms < 0) return `-${age(-ms)}`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)}s`
  const [seconds, minutes, hours] = [ms / 1000, ms / 60_000, ms / 3_600_000].map(Math.floor) as [number, number, number]
  const two = (n: number) => String(n).padStart(2, "0")
  if (minutes < 60) return `${minutes}m${two(seconds % 60)}s`
  if (hours < 24) return `${hours}h${two(minutes % 60)}m`
  return `${Math.floor(hours / 24)}d${two(hours % 24)}h`
}

const short = (session: string | undefined): string => session?.slice(0, 8) ?? ""

const counted = (count: number, of: string): string => `${count.toLocaleString("en")} ${of}${count === 1 ? "" : "s"}`

/** The picture as lines, none wider than the room. */
export const render = (snapshot: Snapshot, room: Room): ReadonlyArray<Line> => {
  const { at, deployment, hosts, missing, version } = snapshot
  const head: ReadonlyArray<Line> = [
    {
      text: `${hosts.join(", ")}  ${deployment}${version === undefined ? "" : `, MongoDB ${version}`}  ${at.slice(0, 19)}Z`,
      tone: "title"
    },
    ...missing.map(({ what, why }): Line => ({ text: `not shown: ${what} (${why})`, tone: "warn" }))
  ]
  const sections = [
    transactions(snapshot),
    waiting(snapshot),
    outboxes(snapshot),
    consumers(snapshot),
    leases(snapshot),
    once(snapshot),
    sessions(snapshot)
  ].filter(({ rows }, index) => rows.length > 0 || index === 0)
  const empty = [
    ["outboxes", snapshot.outboxes],
    ["consumers", snapshot.consumers],
    ["leases", snapshot.leases],
    ["once keys", snapshot.once]
  ].filter(([, rows]) => rows?.length === 0).map(([name]) => name)
  const tail: ReadonlyArray<Line> = empty.length === 0 ? [] : [{ text: `none: ${empty.join(", ")}`, tone: "dim" }]
  // Of each section: an empty line, its title, the titles of its columns.
  const frame = head.length + tail.length * 2 + sections.length * 3
  const lines = [
    ...head,
    ...shared(sections, room.rows === undefined ? Infinity : Math.max(0, room.rows - frame)).flatMap(([section, rows]) =>
      linesOf(section, rows, room.columns)
    ),
    ...(tail.length > 0 ? [blank, ...tail] : [])
  ]
  return lines.slice(0, room.rows).map(({ text, tone }) => ({ text: fit(text, room.columns), tone }))
}

const blank: Line = { text: "", tone: "plain" }

// A line at a time to each section in turn, so that none takes the room of all others.
const shared = (sections: ReadonlyArray<Section>, room: number): ReadonlyArray<readonly [Section, number]> => {
  const wanted = sections.map(({ rows }) => rows.reduce((sum, { note }) => sum + (note === undefined ? 1 : 2), 0))
  if (wanted.reduce((sum, one) => sum + one, 0) <= room) return sections.map((section) => [section, Infinity])
  const given = wanted.map(() => 0)
  for (let left = room; left > 0;) {
    const open = given.flatMap((lines, index) => lines < (wanted[index] ?? 0) ? [index] : [])
    if (open.length === 0) break
    for (const index of open.slice(0, left)) given[index] = (given[index] ?? 0) + 1
    left -= Math.min(left, open.length)
  }
  return sections.map((section, index) => [section, given[index] ?? 0])
}

const linesOf = ({ columns, rows, title, tone = "head" }: Section, room: number, cells: number): ReadonlyArray<Line> => {
  const [titles = "", ...lines] = table(columns, rows.map((row) => row.cells), cells)
  const body = rows.map(({ note, tone }, index): ReadonlyArray<Line> => [
    { text: lines[index] ?? "", tone },
    ...(note === undefined ? [] : [{ text: `          └ ${note}`, tone }])
  ])
  const count = body.reduce((sum, one) => sum + one.length, 0)
  const heading: ReadonlyArray<Line> = [blank, { text: title, tone }]
  if (rows.length === 0) return heading
  if (count <= room) return [...heading, { text: titles, tone: "dim" }, ...body.flat()]
  const kept: Array<ReadonlyArray<Line>> = []
  // The last line says how many more there are.
  for (const one of body) {
    if (kept.flat().length + one.length > room - 1) break
    kept.push(one)
  }
  const more: Line = { text: `… ${rows.length - kept.length} more`, tone: "dim" }
  return [...heading, { text: titles, tone: "dim" }, ...kept.flat(), ...(room > 0 ? [more] : [])]
}

const transactions = ({ transactions }: Snapshot): Section => {
  const waits = transactions.filter(({ state }) => state === "waiting").length
  const oldest = transactions[0]
  return {
    title: oldest === undefined
      ? "TRANSACTIONS  none is open"
      : `TRANSACTIONS  ${transactions.length} open, the oldest for ${age(oldest.ageMs)}${
        waits === 0 ? "" : `; ${waits} wait${waits === 1 ? "s" : ""}`
      }`,
    columns: [
      { title: "SESSION" },
      { title: "TXN", align: "right" },
      { title: "AGE", align: "right" },
      { title: "STATE", least: 4 },
      { title: "OPERATION", least: 12 },
      { title: "LOCKS", least: 6 },
      { title: "APP", least: 6 },
      { title: "SPAN", least: 8 }
    ],
    rows: transactions.map((transaction) => ({
      cells: [
        short(transaction.session),
        String(transaction.number),
        age(transaction.ageMs),
        transaction.state,
        transaction.operation ?? "",
        transaction.locks.join(", "),
        transaction.app ?? "",
        transaction.span ?? ""
      ],
      tone: toneOf(transaction),
      note: transaction.wait && waitText(transaction.wait)
    }))
  }
}

// The server aborts a transaction that is too old; half of that time is a warning.
const toneOf = ({ ageMs, expiresInMs, state }: Transaction): Line["tone"] =>
  state === "waiting" ? "bad" : expiresInMs !== undefined && expiresInMs < ageMs ? "warn" : "plain"

const waitText = ({ holders, kind, on }: Wait): string => {
  const where = on === undefined ? "" : ` on ${on}`
  const named = holders.slice(0, 3).map(holderText)
  const more = holders.length > 3 ? `, ${holders.length - 3} more` : ""
  const who = named.length === 0 ? "" : `${named.join(", ")}${more}`
  if (kind === "lock") return who === "" ? `waits for a lock${where}` : `waits for ${who}${where}`
  return who === "" ? `meets write conflicts${where}` : `meets write conflicts${where}, with one of ${who}`
}

const holderText = ({ app, operation, session, span }: Holder): string => {
  const about = [span ?? operation, app].filter((one) => one !== undefined).join(", ")
  const who = session === undefined ? "an operation" : short(session)
  return about === "" ? who : `${who} (${about})`
}

const waiting = ({ waiting }: Snapshot): Section => ({
  title: `WAITING  ${counted(waiting.length, "operation")} outside of transactions`,
  columns: [
    { title: "SESSION" },
    { title: "AGE", align: "right" },
    { title: "OPERATION", least: 12 },
    { title: "APP", least: 6 },
    { title: "SPAN", least: 8 }
  ],
  rows: waiting.map(({ ageMs, app = "", operation, session, span = "", wait }) => ({
    cells: [short(session), age(ageMs), operation, app, span],
    tone: "bad",
    note: waitText(wait)
  }))
})

const sessions = ({ sessionCount, sessions, transactions }: Snapshot): Section => {
  const inTransaction = new Set(transactions.map(({ session }) => session))
  const others = sessions.filter(({ session }) => !inTransaction.has(session))
  const busy = others.filter(({ doing }) => doing !== undefined).length
  return {
    title: `SESSIONS  ${counted(sessionCount, "session")}, ${inTransaction.size} in a transaction; of the others ${busy} busy`,
    columns: [
      { title: "SESSION" },
      { title: "USED", align: "right" },
      { title: "USER", least: 6 },
      { title: "APP", least: 6 },
      { title: "DOING", least: 12 }
    ],
    rows: others.map(({ app = "", doing, session, usedMs, user = "" }) => ({
      cells: [short(session), age(usedMs), user, app, doing ?? ""],
      tone: doing === undefined ? "dim" : "plain"
    }))
  }
}

const outboxes = ({ outboxes }: Snapshot): Section => ({
  title: "OUTBOXES",
  columns: [
    { title: "OUTBOX", least: 10 },
    { title: "PENDING", align: "right" },
    { title: "LAG", align: "right" },
    { title: "RELAY" },
    { title: "NOTED", align: "right" },
    { title: "DEAD LETTERS", align: "right" }
  ],
  rows: outboxes.map(({ database, deadLetters, lagMs, name, notedMs, pending, relay }) => ({
    cells: [
      `${database}: ${name}`,
      pending.toLocaleString("en"),
      lagMs === undefined ? "" : age(lagMs),
      relay,
      notedMs === undefined ? "" : age(notedMs),
      String(deadLetters)
    ],
    tone: pending > 0 && relay !== "seen" || deadLetters > 0 ? "warn" : "plain"
  }))
})

const consumers = ({ consumers }: Snapshot): Section => ({
  title: "CONSUMERS",
  columns: [
    { title: "CONSUMER", least: 10 },
    { title: "LAG", align: "right" },
    { title: "STATE" },
    { title: "NOTED", align: "right" },
    { title: "DEAD LETTERS", align: "right" }
  ],
  rows: consumers.map(({ database, deadLetters, lagMs, name, notedMs, state }) => ({
    cells: [
      `${database}: ${name}`,
      age(lagMs),
      state,
      notedMs === undefined ? "" : age(notedMs),
      String(deadLetters)
    ],
    tone: state !== "seen" || deadLetters > 0 ? "warn" : "plain"
  }))
})

const leases = ({ leases }: Snapshot): Section => ({
  title: "LEASES",
  columns: [
    { title: "LEASE", least: 10 },
    { title: "HOLDER", least: 8 },
    { title: "TOKEN", align: "right" },
    { title: "EXPIRES IN", align: "right" }
  ],
  rows: leases.map(({ database, expiresInMs, holder = "", name, token }) => ({
    cells: [
      `${database}: ${name}`,
      holder,
      token === undefined ? "" : String(token),
      expiresInMs === undefined ? "" : expiresInMs > 0 ? age(expiresInMs) : "expired"
    ],
    tone: expiresInMs !== undefined && expiresInMs <= 0 ? "dim" : "plain"
  }))
})

const once = ({ once, onceCount }: Snapshot): Section => ({
  title: `ONCE  about ${counted(onceCount, "key")}; by name, of the newest 1,000`,
  columns: [
    { title: "NAME", least: 10 },
    { title: "KEYS", align: "right" },
    { title: "FAILED", align: "right" },
    { title: "NEWEST", align: "right" }
  ],
  rows: once.map(({ database, failed, keys, name, newestMs }) => ({
    cells: [`${database}: ${name}`, keys.toLocaleString("en"), String(failed), age(newestMs)],
    tone: "plain"
  }))
})
