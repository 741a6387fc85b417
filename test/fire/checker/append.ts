/**
 * Checks a history of transactions that append to lists and read them, in the manner of Elle: the lists tell in which order
 * the appends took effect, and so which transaction depends on which.
 *
 * Snapshot isolation, which MongoDB gives, forbids all cycles of dependencies but those with two anti-dependencies in a row:
 * these are write skew (G2-item), and are counted. A transaction that writes also comes after all that had ended before
 * it began. See Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations"; Adya, "Weak
 * Consistency"; and Fekete and others, "Making Snapshot Isolation Serializable".
 */
import * as Graph from "./graph.js"
import type { Outcome, Violation } from "./violation.js"

/** An operation of a transaction, with what it has seen. */
export type Operation =
  | { readonly kind: "append"; readonly key: string; readonly value: number }
  | { readonly kind: "read"; readonly key: string; readonly list: ReadonlyArray<number> }

/** A transaction: what it did in the attempt that counts, and what its caller was told. */
export interface Transaction {
  readonly id: string
  readonly operations: ReadonlyArray<Operation>
  readonly outcome: Outcome
  readonly start: number
  readonly end: number
}

/** The lists when all is over. */
export type Final = ReadonlyMap<string, ReadonlyArray<number>>

/** What a history is. */
export interface Verdict {
  readonly violations: ReadonlyArray<Violation>
  /** Cycles that snapshot isolation allows. */
  readonly writeSkews: number
  /** What became of those whose outcome was unknown. */
  readonly unknown: { readonly committed: number; readonly aborted: number }
}

/** Checks a history. Each value is appended to a list once at most. */
export const check = (history: ReadonlyArray<Transaction>, final: Final): Verdict => {
  const violations: Array<Violation> = []
  const writers = writersOf(history)
  for (const [key, list] of final) {
    if (new Set(list).size < list.length) {
      violations.push({ anomaly: "appended twice", detail: `${key}: ${twice(list).join(", ")}` })
    }
    for (const value of list) {
      if (!writers.has(nameOf(key, value))) violations.push({ anomaly: "from nowhere", detail: `${value} in ${key}` })
    }
  }
  const settled = history.map((one) => settle(one, final, violations))
  for (const one of settled) if (one.isThere) violations.push(...seenBy(one.of, final, writers))
  const dependencies = cyclesOf(settled.flatMap(({ isThere, of }) => isThere ? [of] : []), final, violations.length > 0)
  const unknown = settled.filter(({ of }) => of.outcome === "unknown")
  const committed = unknown.filter(({ isThere }) => isThere).length
  return {
    violations: [...violations, ...dependencies.violations],
    writeSkews: dependencies.writeSkews,
    unknown: { committed, aborted: unknown.length - committed }
  }
}

interface Settled {
  readonly of: Transaction
  /** Whether it was committed, as far as anything shows. */
  readonly isThere: boolean
}

const nameOf = (key: string, value: number): string => `${value}@${key}`

const twice = (list: ReadonlyArray<number>): ReadonlyArray<number> =>
  list.filter((value, index) => list.indexOf(value) !== index)

const appendsOf = ({ operations }: Transaction) => operations.flatMap((one) => one.kind === "append" ? [one] : [])

interface Writer {
  readonly of: Transaction
  /** Whether it appends to the same list again. */
  readonly isIntermediate: boolean
}

const writersOf = (history: ReadonlyArray<Transaction>): ReadonlyMap<string, Writer> =>
  new Map(history.flatMap((of) => {
    const appends = appendsOf(of)
    return appends.map(({ key, value }, index) => [
      nameOf(key, value),
      { of, isIntermediate: appends.slice(index + 1).some((later) => later.key === key) }
    ])
  }))

// What was told of it is held against what is there.
const settle = (of: Transaction, final: Final, violations: Array<Violation>): Settled => {
  const appends = appendsOf(of)
  const there = appends.filter(({ key, value }) => final.get(key)?.includes(value) === true)
  const detail = `${of.id}: ${there.length} of ${appends.length} appends`
  if (there.length > 0 && there.length < appends.length) violations.push({ anomaly: "torn apart", detail })
  if (of.outcome === "committed" && there.length < appends.length) violations.push({ anomaly: "lost", detail })
  if (of.outcome === "aborted" && there.length > 0) violations.push({ anomaly: "told aborted, and there", detail })
  return { of, isThere: of.outcome === "committed" || there.length > 0 }
}

// What one transaction has seen, by itself.
const seenBy = (
  of: Transaction,
  final: Final,
  writers: ReadonlyMap<string, Writer>
): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  const told = (anomaly: string, detail: string) => violations.push({ anomaly, detail: `${of.id} read ${detail}` })
  for (const { before, isOwn, key, list } of readsOf(of)) {
    if (!isOwn) told("internal", `${key} without its own appends, or not twice the same`)
    const all = final.get(key) ?? []
    if (list.some((value, index) => all[index] !== value)) told("incompatible order", `${key} as ${list.join(" ")}`)
    for (const value of before) {
      if (writers.get(nameOf(key, value))?.of.outcome === "aborted") {
        told("G1a", `${value} of ${key}, which was aborted`)
      }
    }
    const last = writers.get(nameOf(key, before.at(-1) ?? Number.NaN))
    if (last?.isIntermediate === true && last.of !== of) told("G1b", `${key} between two appends of ${last.of.id}`)
  }
  return violations
}

interface Read {
  readonly key: string
  readonly list: ReadonlyArray<number>
  /** Without what the transaction has appended itself. */
  readonly before: ReadonlyArray<number>
  /** Whether it has seen its own appends, and else the same as before. */
  readonly isOwn: boolean
}

const readsOf = ({ operations }: Transaction): ReadonlyArray<Read> => {
  const mine = new Map<string, Array<number>>()
  const seen = new Map<string, ReadonlyArray<number>>()
  return operations.flatMap((one): ReadonlyArray<Read> => {
    const { key } = one
    const own = mine.get(key) ?? []
    if (one.kind === "append") {
      mine.set(key, [...own, one.value])
      return []
    }
    const { list } = one
    const before = list.slice(0, Math.max(0, list.length - own.length))
    const earlier = seen.get(key) ?? before
    seen.set(key, earlier)
    const isOwn = own.every((value, index) => list[before.length + index] === value) &&
      earlier.length === before.length && earlier.every((value, index) => before[index] === value)
    return [{ key, list, before, isOwn }]
  })
}

type Relation = "ww" | "wr" | "rw" | "rt"

// A node for each transaction, and one for each end of one: those are in a row, so that real time needs few edges.
const cyclesOf = (there: ReadonlyArray<Transaction>, final: Final, isBroken: boolean) => {
  const nodes = new Map(there.map((one, index) => [one, index]))
  const writers = writersOf(there)
  const nodeOf = (key: string, value: number | undefined): number | undefined => {
    const writer = value === undefined ? undefined : writers.get(nameOf(key, value))
    return writer && nodes.get(writer.of)
  }
  const edges: Array<{ readonly from: number; readonly to: number; readonly kind: Relation }> = []
  const edge = (from: number | undefined, to: number | undefined, kind: Relation): void => {
    if (from !== undefined && to !== undefined && from !== to) edges.push({ from, to, kind })
  }
  for (const [key, list] of final) {
    list.forEach((value, index) => edge(nodeOf(key, list[index - 1]), nodeOf(key, value), "ww"))
  }
  for (const [one, node] of nodes) {
    for (const { before, key } of readsOf(one)) {
      edge(nodeOf(key, before.at(-1)), node, "wr")
      edge(node, nodeOf(key, final.get(key)?.[before.length]), "rw")
    }
  }
  const size = there.length
  const ended = there.filter(({ outcome }) => outcome === "committed").sort((one, other) => one.end - other.end)
  ended.forEach((one, index) => {
    edge(nodes.get(one), size + index, "rt")
    if (index > 0) edge(size + index - 1, size + index, "rt")
  })
  for (const [one, node] of nodes) {
    if (appendsOf(one).length === 0) continue
    const before = firstNotBefore(ended, one.start)
    if (before > 0) edge(size + before - 1, node, "rt")
  }
  return judge(edges, {
    size,
    all: size + ended.length,
    isBroken,
    idOf: (node) => there[node % (size + ended.length)]?.id
  })
}

const firstNotBefore = (ended: ReadonlyArray<Transaction>, time: number): number => {
  let low = 0
  let high = ended.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (ended[middle]!.end < time) low = middle + 1
    else high = middle
  }
  return low
}

type Edges = ReadonlyArray<{ readonly from: number; readonly to: number; readonly kind: Relation }>

interface Size {
  readonly size: number
  /** With the nodes of real time. */
  readonly all: number
  /** Whether the order of the appends cannot be relied on, so that nothing is said of write skew. */
  readonly isBroken: boolean
  readonly idOf: (node: number) => string | undefined
}

// The plainest anomalies first: where there are such, the others follow from them.
const judge = (edges: Edges, { all, idOf, isBroken, size }: Size): Omit<Verdict, "unknown"> => {
  const kinds: ReadonlyArray<ReadonlyArray<Relation>> = [["ww"], ["ww", "wr"], ["ww", "wr", "rw"], [
    "ww",
    "wr",
    "rw",
    "rt"
  ]]
  for (const kind of kinds) {
    const found = Graph.cycles(withoutSkew(edges.filter((one) => kind.includes(one.kind)), all))
    if (found.length > 0) return { violations: found.map((cycle) => violationOf(cycle, idOf)), writeSkews: 0 }
  }
  if (isBroken) return { violations: [], writeSkews: 0 }
  const plain = Array.from({ length: size }, (): Array<Graph.Edge<Relation>> => [])
  for (const { from, kind, to } of edges) if (kind !== "rt") plain[from]!.push({ to, kind })
  return { violations: [], writeSkews: Graph.cycles(plain).length }
}

// Each node twice: the second one is come to by an anti-dependency, and left by another edge.
const withoutSkew = (edges: Edges, all: number): Graph.Graph<Relation> => {
  const graph = Array.from({ length: 2 * all }, (): Array<Graph.Edge<Relation>> => [])
  for (const { from, kind, to } of edges) {
    if (kind === "rw") graph[from]!.push({ to: all + to, kind })
    else for (const one of [from, all + from]) graph[one]!.push({ to, kind })
  }
  return graph
}

const violationOf = (
  cycle: ReadonlyArray<Graph.Step<Relation>>,
  idOf: (node: number) => string | undefined
): Violation => {
  const kinds = cycle.map(({ kind }) => kind)
  const anti = kinds.filter((kind) => kind === "rw").length
  const name = anti > 1 ? "G-nonadjacent" : anti === 1 ? "G-single" : kinds.includes("wr") ? "G1c" : "G0"
  const steps = cycle.flatMap((
    { from, kind, to }
  ) => [idOf(from) ?? "", `-${kind}->`, ...(to === cycle[0]!.from ? [idOf(to) ?? ""] : [])])
  return {
    anomaly: kinds.includes("rt") ? `${name}, by real time` : name,
    detail: steps.filter((text) => text !== "").join(" ")
  }
}
