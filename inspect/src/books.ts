/**
 * What the library's own collections tell: outboxes, consumers, leases and keys.
 */
import * as ResumeToken from "effect-mongo-session/ResumeToken"
import * as Either from "effect/Either"
import type { Consumer, Lease, Once, Outbox } from "./model.js"
import { clusterTimeOf, defined, numberOf, record, textOf, timeOf, type Unknown } from "./values.js"

/** The names of the library's collections, where the program has not chosen others. */
export const collections = {
  outbox: "effect_mongo_session.outbox.",
  outboxes: "effect_mongo_session.outboxes",
  checkpoints: "effect_mongo_session.checkpoints",
  deadLetters: "effect_mongo_session.deadLetters",
  leases: "effect_mongo_session.leases",
  once: "effect_mongo_session.once"
} as const

/** How many messages an outbox has, and the oldest of them that is not delivered. */
export interface Messages {
  readonly count: number
  readonly oldest: Unknown | undefined
}

/** What was read of a database. */
export interface Books {
  readonly database: string
  /** The messages of each outbox, by its name. */
  readonly messages: ReadonlyMap<string, Messages>
  /** How far each relay has come. */
  readonly relays: ReadonlyArray<Unknown>
  readonly checkpoints: ReadonlyArray<Unknown>
  /** How many there are, by the name of the `outbox` or of the `consumer`; `undefined` where they could not be counted. */
  readonly deadLetters: ReadonlyArray<Unknown> | undefined
  readonly leases: ReadonlyArray<Unknown>
  /** The newest keys. */
  readonly keys: ReadonlyArray<Unknown>
}

/** The ids that a relay has noted as delivered; their messages may be there still. */
export const deliveredIn = ({ delivered }: Unknown): ReadonlyArray<unknown> => Array.isArray(delivered) ? delivered : []

/** The relay of an outbox. */
export const relayOf = (relays: ReadonlyArray<Unknown>, name: string): Unknown | undefined =>
  relays.find(({ _id }) => _id === `${name}/relay`)

/** The outboxes of a database, the one that lags most first. `isOpen` says whether a session has anything open. */
export const outboxesOf = (
  { database, deadLetters, messages, relays }: Books,
  isOpen: (session: unknown) => boolean,
  now: number
): ReadonlyArray<Outbox> => {
  const relayed = relays.flatMap(({ _id }) => /^(.+)\/relay$/.exec(textOf(_id) ?? "")?.[1] ?? [])
  return [...new Set([...messages.keys(), ...relayed])].map((name): Outbox => {
    const { count, oldest } = messages.get(name) ?? { count: 0, oldest: undefined }
    const relay = relayOf(relays, name)
    const published = clusterTimeOf(oldest?.["at"]) ?? timeOf(oldest?.["publishedAt"])
    return defined<Outbox>({
      database,
      name: textOf(name) ?? "",
      pending: oldest === undefined ? 0 : Math.max(1, count - deliveredIn(relay ?? {}).length),
      lagMs: published === undefined ? undefined : Math.max(0, now - published),
      relay: relay === undefined ? "none" : isOpen(relay["session"]) ? "seen" : "not seen",
      notedMs: ago(relay?.["updatedAt"], now),
      deadLetters: lettersOf(deadLetters, "outbox", name)
    })
  }).sort((one, other) => (other.lagMs ?? 0) - (one.lagMs ?? 0))
}

/** The consumers of a database, the one that lags most first. */
export const consumersOf = (
  { checkpoints, database, deadLetters }: Books,
  isOpen: (session: unknown) => boolean,
  now: number
): ReadonlyArray<Consumer> =>
  checkpoints.map((checkpoint): Consumer => {
    const handled = positionOf(checkpoint)
    const name = textOf(checkpoint["_id"]) ?? ""
    return defined<Consumer>({
      database,
      name,
      lagMs: handled === undefined ? undefined : Math.max(0, now - handled),
      state: isOpen(checkpoint["session"]) ? "seen" : "not seen",
      notedMs: ago(checkpoint["updatedAt"], now),
      deadLetters: lettersOf(deadLetters, "consumer", name)
    })
  }).sort((one, other) => (other.lagMs ?? 0) - (one.lagMs ?? 0))

// The data of a token begins with a byte that says "timestamp", and the timestamp.
const positionOf = ({ time, token }: Unknown): number | undefined => {
  if (typeof token !== "string") return clusterTimeOf(time)
  const data = Either.match(ResumeToken.decode(token), {
    onLeft: () => undefined,
    onRight: ({ document }): unknown => document["_data"]
  })
  const seconds = typeof data === "string" ? /^82([0-9A-F]{8})/.exec(data)?.[1] : undefined
  return seconds === undefined ? undefined : Number.parseInt(seconds, 16) * 1000
}

// An outbox and a consumer may have one name.
const lettersOf = (
  deadLetters: Books["deadLetters"],
  kind: "outbox" | "consumer",
  name: string
): number | undefined =>
  deadLetters && (numberOf(deadLetters.find(({ _id }) => record(_id)[kind] === name)?.["count"]) ?? 0)

const ago = (value: unknown, now: number): number | undefined => {
  const time = timeOf(value)
  return time === undefined ? undefined : Math.max(0, now - time)
}

/** The leases of a database, those that are held longest first. */
export const leasesOf = ({ database, leases }: Books, now: number): ReadonlyArray<Lease> =>
  leases.map(({ _id, expiresAt, holder, owner, token }): Lease => {
    const expires = timeOf(expiresAt)
    return defined<Lease>({
      database,
      name: nameOf(_id),
      holder: textOf(holder) ?? textOf(owner),
      token: numberOf(token),
      expiresInMs: expires === undefined ? undefined : expires - now
    })
  })

/** The keys of a database by their name and kind, that with the newest first. */
export const onceOf = ({ database, keys }: Books, now: number): ReadonlyArray<Once> => {
  const found = new Map<string, Once>()
  for (const { _id, at, state } of keys) {
    // The keys themselves belong to requests, and are nobody else's business.
    // Those of steps begin with a slash, and have nothing to do with others of the name.
    const [, slash, name = ""] = /^(\/?)([^/]*)/.exec(nameOf(_id)) ?? []
    const group = `${slash}${name}`
    const { failed, keys, newestMs } = found.get(group) ?? { keys: 0, failed: 0, newestMs: undefined }
    const age = ago(at, now)
    found.set(
      group,
      defined<Once>({
        database,
        name,
        kind: slash === "/" ? "steps" : "once",
        keys: keys + 1,
        failed: failed + (state === "failed" ? 1 : 0),
        newestMs: age === undefined ? newestMs : Math.min(age, newestMs ?? age)
      })
    )
  }
  return [...found.values()].sort((one, other) => (one.newestMs ?? 0) - (other.newestMs ?? 0))
}

// The library marks what comes and goes.
const nameOf = (id: unknown): string =>
  (textOf(id) ?? textOf(record(id)["name"]) ?? "?").replace(/^effect_mongo_session\//, "")
