/**
 * The names that the driver keeps to itself and this library uses: one table. `compatibility` checks it before a client connects.
 */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Driver from "mongodb"

/** What the typings of the driver's client leave out. */
export interface Client {
  /** The state of the client. */
  readonly s: ClientState
}

/** The state of a client. */
export interface ClientState {
  /** The cursors that are open. */
  readonly activeCursors: Iterable<Driver.AbstractCursor<unknown>>
  /** Whether it was closed, after which the driver does not connect it by itself. */
  readonly hasBeenClosed: boolean
}

/** What the driver adds to a client when it connects, so that no check can find it earlier. */
interface ConnectedClient {
  readonly topology?: Topology
}

/** The servers of a client. */
export interface Topology {
  readonly s: { readonly servers: ReadonlyMap<string, Server> }
  readonly isConnected: () => boolean
  readonly selectServer: (...args: ReadonlyArray<unknown>) => Promise<Server>
}

/** A server, to which each command goes. Version 6 gives it other arguments. */
export interface Server {
  readonly pool: Pool
  readonly command: (...args: ReadonlyArray<unknown>) => Promise<unknown>
}

/** The connections to a server. */
interface Pool {
  readonly checkedOut: Iterable<Connection>
}

/** A connection to a server. */
export interface Connection {
  readonly closed: boolean
  /** Why it was closed. */
  readonly error: Error | null
  readonly socket: { readonly emit: (event: "error", error: Error) => boolean }
}

/** What the typings of `ClientSessionOptions` leave out. */
export interface SessionOptions {
  /** With `false`, the session takes no server session from the pool until something asks for one. */
  readonly explicit: boolean
}

/** What the typings of the driver's session leave out. */
export interface Session {
  readonly client: Driver.MongoClient
  /** What ends the session when it has ended itself; none of a session that the program has opened. */
  readonly owner: object | symbol | undefined
  /** What limits the operations of the session in time. */
  timeoutContext: object | null
  readonly transaction: Transaction
  /** 1 from the start of a transaction until its first command is sent. */
  readonly txnNumberIncrement: number
  /** Lets go of the server that the transaction is pinned to. Called by force before a commit is sent for the second time. */
  unpin: (options?: { readonly force?: boolean }) => void
}

/** What the driver adds to a session after the first answer of a server, so that no check can find it earlier. */
export interface AnsweredSession {
  /** The time that a snapshot session reads as of. */
  snapshotTime?: Driver.Timestamp | undefined
}

/** The transaction of a session, which the typings leave out altogether. */
export interface Transaction {
  state: string
  readonly options: {
    writeConcern?: Driver.WriteConcern
    readonly readPreference?: Driver.ReadPreferenceLike | undefined
  }
  /** The mongos that a sharded transaction is pinned to. */
  readonly server: { readonly description: { readonly address: string } } | undefined
  /** What the last reply of a router has told of the transaction. */
  readonly recoveryToken: Driver.Document | undefined
  transition: (state: string) => void
}

/** What the typings of the driver's server session leave out. */
export interface ServerSession {
  /** Makes a server session of the driver's pool. */
  readonly constructor: new() => Driver.ServerSession
}

/** What the typings of the driver's cursor leave out. */
export interface Cursor {
  readonly client: Driver.MongoClient
  /** The session of its commands. */
  session: Driver.ClientSession | null
  /** Whether `killCursors` was sent, so that the driver sends none. */
  isKilled: boolean
  readonly signal: AbortSignal | undefined
  readonly cursorOptions: {
    readonly tailable?: boolean
    readonly awaitData?: boolean
    maxAwaitTimeMS?: number | undefined
    maxTimeMS?: number | undefined
    /** Whether the deadline of a session is not told either. */
    omitMaxTimeMS?: boolean
    signal?: AbortSignal
  }
  deserializationOptions: object
  /** What `map` has given it. */
  readonly transform?: (document: unknown) => unknown
}

/** What the typings of the driver's change stream leave out. */
export interface ChangeStream {
  readonly cursor: Driver.AbstractCursor<Driver.Document> & Cursor & ChangeCursor
}

/** What the typings of a cursor leave out, where the cursor of a change stream needs it. */
export interface ChangeCursor {
  /** Version 6 gives it the size of the batch. */
  getMore: (...args: ReadonlyArray<unknown>) => Promise<unknown>
  /** Opens it, by its first command alone. */
  cursorInit: () => Promise<void>
}

/** A client with what its typings leave out. */
export const ofClient = (client: Driver.MongoClient): Client => client as unknown as Client

/** The servers of a client; none where it is not connected. */
export const topologyOf = (client: Driver.MongoClient): Topology | undefined =>
  (client as unknown as ConnectedClient).topology

/** Whether a client is still to be connected, for the first time or after a failure. Not once it was closed. */
export const isToConnect = (client: Driver.MongoClient): boolean =>
  topologyOf(client)?.isConnected() !== true && !ofClient(client).s.hasBeenClosed

/** The connections that operations of a client have; none where it is not connected. */
export const connectionsInUse = (client: Driver.MongoClient): ReadonlyArray<Connection> =>
  [...topologyOf(client)?.s.servers.values() ?? []].flatMap((server) => [...server.pool.checkedOut])

/** A session with what its typings leave out. */
export const ofSession = (session: Driver.ClientSession): Session & AnsweredSession =>
  session as Driver.ClientSession & Session & AnsweredSession

/** A server session with what its typings leave out. */
export const ofServerSession = (server: Driver.ServerSession): ServerSession =>
  server as Driver.ServerSession & ServerSession

/** A cursor with what its typings leave out. */
export const ofCursor = (cursor: Driver.AbstractCursor<unknown>): Cursor =>
  cursor as Driver.AbstractCursor<unknown> & Cursor

/** A change stream with what its typings leave out. */
export const ofChangeStream = (stream: object): ChangeStream => stream as ChangeStream

/** Opens a session that takes no server session from the pool. Whoever opens it, and sends nothing, ends it by {@link endImplicit}. */
export const openImplicit = (client: Driver.MongoClient): Driver.ClientSession => {
  const options: Driver.ClientSessionOptions & SessionOptions = { explicit: false }
  return client.startSession(options)
}

/**
 * Opens a session that takes no server session from the pool, and sends the id that is named, or none, and in a transaction the
 * number. Whoever opens it ends it by {@link endImplicit}.
 */
export const openAs = (
  client: Driver.MongoClient,
  id: Driver.ServerSessionId | undefined,
  txnNumber = 0
): Driver.ClientSession => {
  const session = openImplicit(client)
  // A client that closes ends the sessions that it knows, and would give the pool a stand-in, which makes its `close` fail half-way.
  session.emit("ended", session)
  return Object.defineProperty(session, "serverSession", { value: { id, lastUse: 0, txnNumber, isDirty: true } })
}

/** Ends a session that has no server session. `endSession` would take one from the pool, or give the pool a stand-in. */
export const endImplicit = (session: Driver.ClientSession): void => {
  session.hasEnded = true
  session.emit("ended", session)
}

/** The kinds of objects that the table knows. */
export interface Kinds {
  readonly MongoClient: Client
  readonly "MongoClient.s": ClientState
  readonly ClientSessionOptions: SessionOptions
  readonly ClientSession: Session
  readonly "ClientSession.transaction": Transaction
  readonly ServerSession: ServerSession
  readonly AbstractCursor: Cursor
  readonly ChangeStream: ChangeStream
  readonly ChangeStreamCursor: ChangeCursor
}

type Table = { readonly [K in keyof Kinds]: { readonly [F in keyof Kinds[K]]-?: (value: unknown) => boolean } }

const isObject = Predicate.isRecord
const isMissingOr = (isValue: (value: unknown) => boolean) => (value: unknown): boolean =>
  value === undefined || isValue(value)

const makesServerSessions = (constructor: unknown): boolean =>
  Option.exists(
    Option.liftThrowable(() => new (constructor as ServerSession["constructor"])())(),
    ({ lastUse }) => Predicate.isNumber(lastUse)
  )

/** What each field is in an object that the driver has just made. */
export const table: Table = {
  MongoClient: { s: isObject },
  "MongoClient.s": {
    activeCursors: (cursors) => isObject(cursors) && Predicate.isIterable(cursors),
    hasBeenClosed: Predicate.isBoolean
  },
  ClientSessionOptions: { explicit: (explicit) => explicit === false },
  ClientSession: {
    client: isObject,
    owner: (owner) => owner === undefined,
    timeoutContext: (context) => context === null,
    transaction: isObject,
    txnNumberIncrement: (increment) => increment === 0,
    unpin: Predicate.isFunction
  },
  "ClientSession.transaction": {
    state: (state) => state === "NO_TRANSACTION",
    options: isObject,
    server: isMissingOr(isObject),
    recoveryToken: isMissingOr(isObject),
    transition: Predicate.isFunction
  },
  ServerSession: { constructor: makesServerSessions },
  AbstractCursor: {
    client: isObject,
    session: isObject,
    isKilled: (isKilled) => isKilled === false,
    signal: (signal) => signal instanceof AbortSignal,
    cursorOptions: (options) => isObject(options) && options["tailable"] === true && options["awaitData"] === true,
    deserializationOptions: isObject,
    transform: Predicate.isFunction
  },
  ChangeStream: { cursor: isObject },
  ChangeStreamCursor: {
    getMore: Predicate.isFunction,
    cursorInit: Predicate.isFunction
  }
}
