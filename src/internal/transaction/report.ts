/**
 * The report of the hottest keys, as data and as a table.
 */
import * as Inspectable from "effect/Inspectable"
import { safeName } from "../values/conflicts.js"
import { textOf } from "../values/foreign.js"

/**
 * What transactions have fought for: a document, known by its `_id`, or what a filter searches for by other values.
 *
 * @since 0.1.0
 * @category models
 */
export interface HotKey {
  /** Its number in this client, the same as `document` of a conflict. A key that comes again after it was dropped has another. */
  readonly document: number
  /** Database and collection. */
  readonly namespace: string
  /** The fields by whose values it is searched for. */
  readonly fields: ReadonlyArray<string>
  /** Their values, with the client's option `conflicts.values`. */
  readonly values?: Readonly<Record<string, unknown>> | undefined
  /** How many conflicts were lost for it. */
  readonly conflicts: number
  /** How many of these were lost to a transaction of the same client; all others to somebody elsewhere, or not known. */
  readonly here: number
  /** The operations that have lost, four at most. */
  readonly operations: ReadonlyArray<string>
  /** The spans of those who have lost, and of those to whom, four at most. */
  readonly spans: ReadonlyArray<string>
  /** When the last conflict was lost, by the clock of this process. */
  readonly lastAt: Date
}

/** What a {@link Report} is made of. */
export interface Facts {
  readonly conflicts: number
  readonly dropped: number
  readonly keys: ReadonlyArray<HotKey>
}

/**
 * The hottest keys of a client. As text (`String(report)`), it is a table.
 *
 * @since 0.1.0
 * @category models
 */
export class Report extends Inspectable.Class {
  /** How many conflicts the client's transactions have lost. */
  readonly conflicts: number
  /** How many of them were for keys that have made room for others: 256 are kept. */
  readonly dropped: number
  /** The keys, the hottest first. */
  readonly keys: ReadonlyArray<HotKey>

  constructor({ conflicts, dropped, keys }: Facts) {
    super()
    this.conflicts = conflicts
    this.dropped = dropped
    this.keys = keys
  }

  /** The report as a table, a row for each key. */
  override toString(): string {
    const summary = `${this.conflicts} ${this.conflicts === 1 ? "conflict" : "conflicts"}`
    if (this.keys.length === 0) return summary
    const rows = [head, ...this.keys.map(cellsOf)]
    const widths = head.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)))
    const lines = rows.map((row) =>
      row.map((cell, column) =>
        column < numbers ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)
      ).join("  ").trimEnd()
    )
    return [...lines, this.dropped === 0 ? summary : `${summary}, ${this.dropped} for keys that are not kept`].join(
      "\n"
    )
  }

  override toJSON(): object {
    return { _id: "Report", conflicts: this.conflicts, dropped: this.dropped, keys: this.keys }
  }
}

// The first columns are numbers.
const numbers = 3
const head = ["conflicts", "here", "document", "namespace", "by", "operations", "spans"]

const cellsOf = ({ conflicts, document, fields, here, namespace, operations, spans, values }: HotKey) => [
  String(conflicts),
  String(here),
  String(document),
  namespace,
  fields.map((name) => values === undefined ? safeName(name) : `${safeName(name)} ${short(textOf(values[name]))}`)
    .join(", "),
  operations.join(", "),
  spans.map(short).join(", ")
]

// On one line: control characters could break the table.
const short = (text: string): string => {
  const line = text.replaceAll(/[^\P{C}]/gu, " ")
  return line.length > longest ? `${line.slice(0, longest - 1)}…` : line
}

const longest = 40
