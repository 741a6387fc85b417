/**
 * Keeps the tags of a metric for each operation, of as many as a program of usual size has: a series is never forgotten, neither
 * here nor where metrics are kept, and a program may make up the names of its databases and collections.
 */
import { type Labels, labels } from "./log.js"
import type { OperationName } from "./names.js"

/** What takes the place of names that are too many, as OpenTelemetry calls whatever has no name of its own. */
const other = "_OTHER"

/**
 * How many operations have tags of their own, as OpenTelemetry advises. What is new after these has no place of its own, and
 * after as many more no name.
 */
export const mostSeries = 2000

/** The tags of one metric of one client. They are kept, for they are expensive to make. */
export class Series {
  readonly #tagsOf: (operation: OperationName, errorType: string | undefined) => Readonly<Record<string, string>>
  // Three lookups by existing objects cost less than building one key.
  readonly #known = new Map<string | undefined, Map<string, Map<string, Map<string | undefined, Labels>>>>()
  #size = 0

  constructor(tagsOf: (operation: OperationName, errorType: string | undefined) => Readonly<Record<string, string>>) {
    this.#tagsOf = tagsOf
  }

  /** The tags of an operation by its name and what it failed with: the same object each time. */
  labelsOf(operation: OperationName, errorType?: string): Labels {
    return this.#within(mostSeries, operation, errorType) ?? this.#elsewhere(operation, errorType)
  }

  #elsewhere({ collection, name }: OperationName, errorType: string | undefined): Labels {
    const place = { database: other, collection: collection === undefined ? undefined : other }
    return this.#within(2 * mostSeries, { ...place, name }, errorType) ??
      this.#of({ ...place, name: other }, errorType === undefined ? undefined : other)
  }

  #within(most: number, operation: OperationName, errorType: string | undefined): Labels | undefined {
    const { collection, database, name } = operation
    const kept = this.#known.get(collection)?.get(database)?.get(name)?.get(errorType)
    return kept ?? (this.#size < most ? this.#of(operation, errorType) : undefined)
  }

  #of(operation: OperationName, errorType: string | undefined): Labels {
    const { collection, database, name } = operation
    const byError = at(at(at(this.#known, collection), database), name)
    const kept = byError.get(errorType)
    if (kept !== undefined) return kept
    const made = labels(this.#tagsOf(operation, errorType))
    byError.set(errorType, made)
    this.#size++
    return made
  }
}

const at = <K, K2, V>(map: Map<K, Map<K2, V>>, key: K): Map<K2, V> => {
  const found = map.get(key)
  if (found !== undefined) return found
  const made = new Map<K2, V>()
  map.set(key, made)
  return made
}
