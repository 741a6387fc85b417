/**
 * Cycles in directed graphs whose edges are of several kinds.
 */

/** A graph: for each node the edges that leave it. */
export type Graph<Kind> = ReadonlyArray<ReadonlyArray<Edge<Kind>>>

/** An edge to a node. */
export interface Edge<Kind> {
  readonly to: number
  readonly kind: Kind
}

/** An edge of a cycle. */
export interface Step<Kind> extends Edge<Kind> {
  readonly from: number
}

/** A short cycle for each strongly connected component that has one. */
export const cycles = <Kind>(graph: Graph<Kind>): ReadonlyArray<ReadonlyArray<Step<Kind>>> =>
  components(graph).flatMap((component) => {
    const cycle = shortest(graph, component)
    return cycle === undefined ? [] : [cycle]
  })

/** Tarjan's algorithm, without recursion. */
const components = <Kind>(graph: Graph<Kind>): ReadonlyArray<ReadonlyArray<number>> => {
  const found: Array<ReadonlyArray<number>> = []
  const index = new Int32Array(graph.length).fill(-1)
  const low = new Int32Array(graph.length)
  const onStack = new Uint8Array(graph.length)
  const stack: Array<number> = []
  let next = 0
  const enter = (node: number): { readonly node: number; at: number } => {
    index[node] = low[node] = next++
    stack.push(node)
    onStack[node] = 1
    return { node, at: 0 }
  }
  for (let root = 0; root < graph.length; root++) {
    if (index[root] !== -1) continue
    const path = [enter(root)]
    for (let frame = path.at(-1); frame !== undefined; frame = path.at(-1)) {
      const { node } = frame
      const edge = graph[node]![frame.at++]
      if (edge !== undefined) {
        if (index[edge.to] === -1) path.push(enter(edge.to))
        else if (onStack[edge.to] === 1) low[node] = Math.min(low[node]!, index[edge.to]!)
        continue
      }
      path.pop()
      const parent = path.at(-1)
      if (parent !== undefined) low[parent.node] = Math.min(low[parent.node]!, low[node]!)
      if (low[node] !== index[node]) continue
      const component = stack.splice(stack.lastIndexOf(node))
      for (const one of component) onStack[one] = 0
      if (component.length > 1) found.push(component)
    }
  }
  return found
}

// Not from each node of a large component: a cycle from one of some is short enough to be read.
const shortest = <Kind>(
  graph: Graph<Kind>,
  component: ReadonlyArray<number>
): ReadonlyArray<Step<Kind>> | undefined => {
  const within = new Set(component)
  let best: ReadonlyArray<Step<Kind>> | undefined
  for (const start of component.slice(0, 200)) {
    const cycle = cycleThrough(graph, start, within)
    if (cycle !== undefined && (best === undefined || cycle.length < best.length)) best = cycle
  }
  return best
}

const cycleThrough = <Kind>(
  graph: Graph<Kind>,
  start: number,
  within: ReadonlySet<number>
): ReadonlyArray<Step<Kind>> | undefined => {
  const cameBy = new Map<number, Step<Kind>>()
  const queue = [start]
  for (const node of queue) {
    for (const { kind, to } of graph[node]!) {
      if (!within.has(to) || cameBy.has(to)) continue
      cameBy.set(to, { from: node, to, kind })
      if (to === start) return backFrom(start, cameBy)
      queue.push(to)
    }
  }
  return undefined
}

const backFrom = <Kind>(start: number, cameBy: ReadonlyMap<number, Step<Kind>>): ReadonlyArray<Step<Kind>> => {
  const steps: Array<Step<Kind>> = []
  let node = start
  do {
    const step = cameBy.get(node)!
    steps.unshift(step)
    node = step.from
  } while (node !== start)
  return steps
}
