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
  /** How many lines at a time it is given, where there is not enough room for all. Default 1. */
  readonly weight?: number
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
      text: `${hosts.join(", ")}  ${deployment}${version === undefined ? "" : `, MongoDB ${version}`}  ${
        at.slice(0, 19)
      }Z`,
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
  const tail: ReadonlyArray<Line> = empty.length === 0
    ? []
    : [blank, { text: `none: ${empty.join(", ")}`, tone: "dim" }]
  const lines = [
    ...head,
    ...planned(sections, room.rows === undefined ? Infinity : room.rows - head.length - tail.length).flatMap((plan) =>
      linesOf(plan, room.columns)
    ),
    ...tail
  ]
  return lines.slice(0, room.rows).map(({ text, tone }) => ({ text: fit(text, room.columns), tone }))
}

const blank: Line = { text: "", tone: "plain" }

/** A section, and what of it is shown. */
interface Plan {
  readonly section: Section
  /** Whether an empty line is above it. */
  readonly isSpaced: boolean
  /** How many lines its rows have, with what is said of them; none: only the title is shown. */
  readonly room: number
}

// The least that is worth the titles of the columns.
const leastRows = 3

// Where there is not enough room, first the empty lines go, and then the rows of the last sections. What is left is given
// to each section in turn, so that none takes the room of all others.
const planned = (sections: ReadonlyArray<Section>, room: number): ReadonlyArray<Plan> => {
  const wanted = sections.map(heightOf)
  const sum = (numbers: ReadonlyArray<number>) => numbers.reduce((total, one) => total + one, 0)
  const least = wanted.map((height) => Math.min(height, leastRows))
  const framed = (shown: number, isSpaced: boolean) =>
    sections.length * (isSpaced ? 2 : 1) + sections.slice(0, shown).filter(({ rows }) => rows.length > 0).length
  const fits = (shown: number, isSpaced: boolean) => framed(shown, isSpaced) + sum(least.slice(0, shown)) <= room
  const isSpaced = fits(sections.length, true)
  let shown = sections.length
  while (!isSpaced && shown > 0 && !fits(shown, false)) shown--
  const given = wanted.map(() => 0)
  let left = room - framed(shown, isSpaced)
  for (let open = [0]; open.length > 0 && left > 0;) {
    open = given.flatMap((lines, index) => index < shown && lines < (wanted[index] ?? 0) ? [index] : [])
    for (const index of open) {
      const more = Math.min(left, sections[index]?.weight ?? 1, (wanted[index] ?? 0) - (given[index] ?? 0))
      given[index] = (given[index] ?? 0) + more
      left -= more
    }
  }
  return sections.map((section, index) => ({ section, isSpaced, room: given[index] ?? 0 }))
}

const heightOf = ({ rows }: Section): number => rows.reduce((sum, { note }) => sum + (note === undefined ? 1 : 2), 0)

const linesOf = ({ isSpaced, room, section }: Plan, cells: number): ReadonlyArray<Line> => {
  const { columns, rows, title } = section
  const heading: ReadonlyArray<Line> = [...(isSpaced ? [blank] : []), { text: title, tone: "head" }]
  if (room === 0) return heading
  const [titles = "", ...lines] = table(columns, rows.map((row) => row.cells), cells)
  const body = rows.map(({ note, tone }, index): ReadonlyArray<Line> => [
    { text: lines[index] ?? "", tone },
    ...(note === undefined ? [] : [{ text: `          └ ${note}`, tone }])
  ])
  const above: ReadonlyArray<Line> = [...heading, { text: titles, tone: "dim" }]
  if (heightOf(section) <= room) return [...above, ...body.flat()]
  // The last line says how many more there are.
  let shown = 0
  for (let height = 0; shown < body.length; shown++) {
    height += body[shown]?.length ?? 0
    if (height > room - 1) break
  }
  return shown === 0
    ? heading
    : [...above, ...body.slice(0, shown).flat(), { text: `… ${rows.length - shown} more`, tone: "dim" }]
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
    weight: 4,
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
  const what = `${kind === "lock" ? "waits" : "meets write conflicts"}${on === undefined ? "" : ` on ${on}`}`
  if (holders.length === 0) return kind === "lock" ? `${what} for a lock` : what
  const named = `${holders.slice(0, mostHolders).map(holderText).join(", ")}${
    holders.length > mostHolders ? ", …" : ""
  }`
  const count = holders.length === 1 ? "" : `${kind === "lock" ? "" : "one of "}${holders.length}: `
  return `${what}${kind === "lock" ? " for " : " with "}${count}${named}`
}

const mostHolders = 3

const holderText = ({ app, operation, session, span }: Holder): string => {
  const about = [span ?? operation, app].filter((one) => one !== undefined).join(", ")
  const who = session === undefined ? "an operation" : short(session)
  return about === "" ? who : `${who} (${about})`
}

const waiting = ({ waiting }: Snapshot): Section => ({
  title: `WAITING  ${counted(waiting.length, "operation")} outside of transactions`,
  weight: 2,
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
    title: `SESSIONS  ${
      counted(sessionCount, "session")
    }, ${inTransaction.size} in a transaction; of the others ${busy} busy`,
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
      String(deadLetters ?? "?")
    ],
    tone: pending > 0 && relay !== "seen" || (deadLetters ?? 0) > 0 ? "warn" : "plain"
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
      String(deadLetters ?? "?")
    ],
    tone: state !== "seen" || (deadLetters ?? 0) > 0 ? "warn" : "plain"
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
  rows: once.map(({ database, failed, keys, kind, name, newestMs }) => ({
    cells: [
      `${database}: ${name}${kind === "steps" ? " (steps)" : ""}`,
      keys.toLocaleString("en"),
      String(failed),
      age(newestMs)
    ],
    tone: "plain"
  }))
})
