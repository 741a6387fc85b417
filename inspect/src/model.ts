/**
 * What the window shows, as `--json` prints it: times are in milliseconds, and what is not known is left out.
 */

/** Who holds what somebody waits for. */
export interface Holder {
  readonly session?: string
  readonly operation?: string
  readonly app?: string
  readonly span?: string
}

/** What an operation waits for. */
export interface Wait {
  /** `lock`: for a lock. `conflict`: for a document that a transaction has written; any of the holders may be the one. */
  readonly kind: "lock" | "conflict"
  /** What is locked, as `shop.orders`. */
  readonly on?: string
  readonly holders: ReadonlyArray<Holder>
}

/** A transaction that is open on the server. */
export interface Transaction {
  readonly session: string
  readonly number: number
  readonly user?: string
  readonly app?: string
  /** The address of its client. */
  readonly client?: string
  /** The span of the program, from the comment of its operations. */
  readonly span?: string
  readonly traceparent?: string
  readonly ageMs: number
  /** How long it has waited for its client, in all. */
  readonly idleMs: number
  /** When the server is going to abort it. */
  readonly expiresInMs?: number
  readonly state: "idle" | "running" | "waiting"
  /** What it does; of an idle one what it was last seen to do. */
  readonly operation?: string
  /** As `IX shop.orders`. */
  readonly locks: ReadonlyArray<string>
  readonly wait?: Wait
}

/** An operation outside of transactions that waits. */
export interface Waiting {
  readonly operation: string
  readonly session?: string
  readonly app?: string
  readonly span?: string
  readonly ageMs: number
  readonly wait: Wait
}

/** A session that the server has in its memory. */
export interface Session {
  readonly session: string
  readonly user?: string
  readonly app?: string
  /** When it was used last. */
  readonly usedMs?: number
  /** What it does, if anything. */
  readonly doing?: string
}

/** An outbox, and the relay that delivers its messages. */
export interface Outbox {
  readonly database: string
  readonly name: string
  /** About how many messages are not delivered. */
  readonly pending: number
  /** How long ago the oldest of them was published. */
  readonly lagMs?: number
  /** `seen`: its session has something open on the server. `none`: it has never had one. */
  readonly relay: "seen" | "not seen" | "none"
  /** When the relay noted last how far it had come. */
  readonly notedMs?: number
  readonly deadLetters?: number
}

/** A consumer of a change stream. */
export interface Consumer {
  readonly database: string
  readonly name: string
  /** How old the event is that it has handled last, as far as it has noted. */
  readonly lagMs?: number
  readonly state: "seen" | "not seen"
  readonly notedMs?: number
  readonly deadLetters?: number
}

/** A lease. */
export interface Lease {
  readonly database: string
  readonly name: string
  readonly holder?: string
  readonly token?: number
  /** Negative: for how long it has been over. */
  readonly expiresInMs?: number
}

/** The keys of one name that are run once. */
export interface Once {
  readonly database: string
  readonly name: string
  /** Whether they are the steps of workflows. */
  readonly kind: "once" | "steps"
  /** Of the newest 1,000 keys of the database. */
  readonly keys: number
  readonly failed: number
  readonly newestMs?: number
}

/** What could not be read, and what it takes. */
export interface Missing {
  readonly what: string
  readonly why: string
}

/** What is going on at one moment. */
export interface Snapshot {
  readonly at: string
  readonly hosts: ReadonlyArray<string>
  readonly deployment: string
  readonly version?: string
  readonly transactions: ReadonlyArray<Transaction>
  readonly waiting: ReadonlyArray<Waiting>
  /** How many the server knows; `sessions` lists 1,000 of them: those that do something, then those that were used last. */
  readonly sessionCount: number
  readonly sessions: ReadonlyArray<Session>
  readonly outboxes: ReadonlyArray<Outbox>
  readonly consumers: ReadonlyArray<Consumer>
  readonly leases: ReadonlyArray<Lease>
  /** About how many keys there are, of all names. */
  readonly onceCount: number
  readonly once: ReadonlyArray<Once>
  readonly missing: ReadonlyArray<Missing>
}
