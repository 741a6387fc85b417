/**
 * The keys for which the transactions of one client have lost conflicts, and how often: so many of them at most.
 */
import type { HotKey } from "./report.js"

/** How many keys are kept. */
const most = 256

/** How many names of operations and of spans are kept of each. */
const mostNames = 4

/** After how many milliseconds a conflict counts half for which keys are the hottest. */
const halfLife = 600_000

/** A conflict, as it is counted. */
export interface Lost {
  readonly operation: string
  readonly namespace: string
  readonly fields: ReadonlyArray<string>
  readonly values?: Readonly<Record<string, unknown>> | undefined
  /** Whether other transactions of the client are known to have written the same. */
  readonly isToKnown: boolean
  /** The spans of who has lost, and of the others. */
  readonly spans: ReadonlyArray<string>
  readonly at: number
}

interface Entry extends Pick<HotKey, "document" | "namespace" | "fields" | "values"> {
  conflicts: number
  here: number
  lastAt: number
  // The conflicts, of which each counts half after the half-life, as of the last one.
  heat: number
  readonly operations: Set<string>
  readonly spans: Set<string>
}

/** The hottest keys. */
export class HotKeys {
  readonly #entries = new Map<string, Entry>()
  #conflicts = 0
  #dropped = 0
  #last = 0

  /** Counts a conflict for a key. Says which number the key has. */
  count(key: string, { at, fields, isToKnown, namespace, operation, spans, values }: Lost): number {
    this.#conflicts++
    const entry = this.#entries.get(key) ?? this.#add(key, { namespace, fields, values })
    entry.conflicts++
    if (isToKnown) entry.here++
    entry.heat = entry.heat * 2 ** (-Math.max(0, at - entry.lastAt) / halfLife) + 1
    entry.lastAt = at
    addTo(entry.operations, [operation])
    addTo(entry.spans, spans)
    return entry.document
  }

  /** Counts a conflict of which no key is known. */
  countUnknown(): void {
    this.#conflicts++
  }

  /** How many conflicts there were. */
  get conflicts(): number {
    return this.#conflicts
  }

  /** How many of them were for keys that have made room for others. */
  get dropped(): number {
    return this.#dropped
  }

  /** The keys, the hottest first. */
  get keys(): ReadonlyArray<HotKey> {
    return [...this.#entries.values()]
      .sort((one, other) => rankOf(other) - rankOf(one))
      .map(({ heat: _, lastAt, operations, spans, ...rest }) => ({
        ...rest,
        operations: [...operations],
        spans: [...spans],
        lastAt: new Date(lastAt)
      }))
  }

  #add(key: string, known: Pick<Entry, "namespace" | "fields" | "values">): Entry {
    if (this.#entries.size >= most) this.#drop()
    const counts = {
      conflicts: 0,
      here: 0,
      lastAt: 0,
      heat: 0,
      operations: new Set<string>(),
      spans: new Set<string>()
    }
    const entry: Entry = { document: ++this.#last, ...known, ...counts }
    this.#entries.set(key, entry)
    return entry
  }

  // The coldest makes room, of several the one that was first.
  #drop(): void {
    const [first, ...rest] = this.#entries
    if (first === undefined) return
    const [key, { conflicts }] = rest.reduce((least, one) => rankOf(one[1]) < rankOf(least[1]) ? one : least, first)
    this.#entries.delete(key)
    this.#dropped += conflicts
  }
}

// The order of heats at any one time, for all of them fall alike.
const rankOf = ({ heat, lastAt }: Entry): number => Math.log2(heat) + lastAt / halfLife

const addTo = (set: Set<string>, names: ReadonlyArray<string>): void => {
  for (const name of names) if (set.size < mostNames) set.add(name)
}
