/**
 * Who holds which lock, and who waits behind whom: what `lockInfo` tells.
 */
import { numberOf, record, records, textOf, type Unknown } from "./values.js"

/** A lock that somebody has, or waits for. */
export interface Request {
  readonly mode: string
  /** The session whose transaction it is, where that has no operation at the moment. */
  readonly session: string | undefined
  readonly opid: number | undefined
}

/** What can be locked, and who has it or waits for it, in their order. */
export interface Resource {
  readonly type: string
  /** None of what is locked as a whole. */
  readonly name: string | undefined
  readonly granted: ReadonlyArray<Request>
  readonly pending: ReadonlyArray<Request>
}

/** The resources of a reply of `lockInfo`. */
export const resourcesOf = (reply: unknown): ReadonlyArray<Resource> =>
  records(record(reply)["lockInfo"]).map(({ granted, pending, resourceId }) => {
    // {8736852211147894946: Collection, 1819323183506813090, shop.orders}
    const [, type = "", name] = /^\{\d+: (\w+), \d+(?:, (.+))?\}$/.exec(textOf(resourceId) ?? "") ?? []
    return { type, name, granted: records(granted).map(requestOf), pending: records(pending).map(requestOf) }
  })

const requestOf = ({ clientInfo, debugInfo, mode }: Unknown): Request => ({
  mode: textOf(mode) ?? "",
  session: /lsid: \{ id: UUID\("([0-9a-f-]{36})"\)/.exec(textOf(debugInfo) ?? "")?.[1],
  opid: numberOf(record(clientInfo)["opid"])
})

/** Whose lock it is. */
export interface Owner {
  readonly session: string | undefined
  readonly opid: number | undefined
}

const isOf = ({ opid, session }: Owner) => (request: Request) =>
  request.session === undefined ? opid !== undefined && request.opid === opid : request.session === session

/** What somebody waits for, and the requests that are in the way: those that are granted, else those that are in front. */
export const blockersOf = (
  resources: ReadonlyArray<Resource>,
  owner: Owner
): { readonly on: string; readonly by: ReadonlyArray<Request> } | undefined => {
  for (const { granted, name, pending, type } of resources) {
    const index = pending.findIndex(isOf(owner))
    const request = pending[index]
    if (request === undefined) continue
    const inTheWay = (others: ReadonlyArray<Request>) => others.filter(({ mode }) => conflict(mode, request.mode))
    const holders = inTheWay(granted)
    return { on: name ?? type, by: holders.length > 0 ? holders : inTheWay(pending.slice(0, index)) }
  }
  return undefined
}

/** The locks that somebody has: those of collections, and of more than that only what keeps others out. */
export const heldBy = (resources: ReadonlyArray<Resource>, owner: Owner): ReadonlyArray<string> =>
  resources.flatMap(({ granted, name, type }) =>
    granted.filter(isOf(owner))
      .filter(({ mode }) => type === "Collection" || mode === "X" || mode === "S")
      // A collection has no name yet, or no more, where it is new or was dropped.
      .map(({ mode }) => `${mode} ${name ?? (type === "Collection" ? "(no name)" : type)}`)
  )

/** The requests of those who may write to a collection. */
export const writersOf = (resources: ReadonlyArray<Resource>, collection: string): ReadonlyArray<Request> =>
  resources.flatMap(({ granted, name, type }) =>
    type === "Collection" && name === collection ? granted.filter(({ mode }) => mode === "IX" || mode === "X") : []
  )

const compatible: Readonly<Record<string, ReadonlyArray<string>>> = {
  IS: ["IS", "IX", "S"],
  IX: ["IS", "IX"],
  S: ["IS", "S"],
  X: []
}

const conflict = (one: string, other: string): boolean => compatible[one]?.includes(other) === false
