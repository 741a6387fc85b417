import type * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Timestamp } from "mongodb"
import { expectTypeOf } from "vitest"
import * as MongoClient from "../../src/MongoClient.js"
import type { MongoError } from "../../src/MongoError.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import type { DecodeFailed, SessionMisconfigured } from "../../src/SessionErrors.js"
import type { SessionId } from "../../src/SessionId.js"

class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}

declare const id: SessionId
declare const uid: Uint8Array
declare const lsid: SessionCommands.Lsid
declare const listed: Chunk.Chunk<SessionCommands.ListedSession>

const client = { client: Analytics }
const user = { user: "app", db: "shop" }

type Failure = MongoError | DecodeFailed

// Values

expectTypeOf(SessionCommands.startSession).toEqualTypeOf<
  Effect.Effect<SessionCommands.StartedSession, Failure, MongoClient.MongoClient>
>()
expectTypeOf(SessionCommands.scoped).toEqualTypeOf<
  Effect.Effect<SessionCommands.StartedSession, Failure, MongoClient.MongoClient | Scope.Scope>
>()
expectTypeOf(SessionCommands.killMySessions).toEqualTypeOf<Effect.Effect<void, Failure, MongoClient.MongoClient>>()
expectTypeOf(SessionCommands.killEverySession).toEqualTypeOf<Effect.Effect<void, Failure, MongoClient.MongoClient>>()

// Lists: of the program's client, and of a further one, whose tag then stands in R

expectTypeOf(SessionCommands.refreshSessions([id])).toEqualTypeOf<
  Effect.Effect<void, SessionMisconfigured | Failure, MongoClient.MongoClient>
>()
expectTypeOf(SessionCommands.refreshSessions(new Set([id]), {})).toEqualTypeOf<
  Effect.Effect<void, SessionMisconfigured | Failure, MongoClient.MongoClient>
>()
expectTypeOf(SessionCommands.refreshSessions([id], client)).toEqualTypeOf<
  Effect.Effect<void, SessionMisconfigured | Failure, Analytics>
>()
expectTypeOf(SessionCommands.endSessions([id])).toEqualTypeOf<
  Effect.Effect<void, SessionMisconfigured | Failure, MongoClient.MongoClient>
>()
expectTypeOf(SessionCommands.endSessions([id], client)).toEqualTypeOf<
  Effect.Effect<void, SessionMisconfigured | Failure, Analytics>
>()
expectTypeOf(SessionCommands.killSessions([id])).toEqualTypeOf<
  Effect.Effect<void, SessionMisconfigured | Failure, MongoClient.MongoClient>
>()
expectTypeOf(SessionCommands.killSessions([id], client)).toEqualTypeOf<
  Effect.Effect<void, SessionMisconfigured | Failure, Analytics>
>()
expectTypeOf(SessionCommands.killAllSessions([user])).toEqualTypeOf<
  Effect.Effect<void, SessionMisconfigured | Failure, MongoClient.MongoClient>
>()
expectTypeOf(SessionCommands.killAllSessions([user], client)).toEqualTypeOf<
  Effect.Effect<void, SessionMisconfigured | Failure, Analytics>
>()
expectTypeOf(SessionCommands.killAllSessionsByPattern([{ lsid }, { uid, users: [user] }])).toEqualTypeOf<
  Effect.Effect<void, SessionMisconfigured | Failure, MongoClient.MongoClient>
>()
expectTypeOf(SessionCommands.killAllSessionsByPattern(listed, client)).toEqualTypeOf<
  Effect.Effect<void, SessionMisconfigured | Failure, Analytics>
>()

expectTypeOf(
  // @ts-expect-error the id of another kind
  SessionCommands.killSessions(["00000000-0000-0000-0000-000000000001"])
)
expectTypeOf(
  // @ts-expect-error a list is needed: there is no "all" by leaving it out
  SessionCommands.killSessions()
)
expectTypeOf(
  // @ts-expect-error a pattern of nothing would match everything
  SessionCommands.killAllSessionsByPattern([{}])
)
expectTypeOf(
  // @ts-expect-error users alone would match everything
  SessionCommands.killAllSessionsByPattern([{ users: [user] }])
)
expectTypeOf(
  // @ts-expect-error roles alone would match everything
  SessionCommands.killAllSessionsByPattern([{ roles: [{ role: "read", db: "shop" }] }])
)
expectTypeOf(
  // @ts-expect-error the server would ignore the lsid
  SessionCommands.killAllSessionsByPattern([{ lsid, uid }])
)
expectTypeOf(
  // @ts-expect-error an lsid has an owner
  SessionCommands.killAllSessionsByPattern([{ lsid: { id } }])
)
expectTypeOf(
  // @ts-expect-error a tag of something else than a client
  SessionCommands.killSessions([id], { client: Effect.Tag("Other")<MongoClient.MongoClient, number>() })
)

// Listings

expectTypeOf(SessionCommands.listSessions()).toEqualTypeOf<
  Stream.Stream<SessionCommands.ListedSession, SessionMisconfigured | Failure, MongoClient.MongoClient>
>()
expectTypeOf(SessionCommands.listSessions({ allUsers: true })).toEqualTypeOf<
  Stream.Stream<SessionCommands.ListedSession, SessionMisconfigured | Failure, MongoClient.MongoClient>
>()
expectTypeOf(SessionCommands.listSessions({ users: [user], ...client })).toEqualTypeOf<
  Stream.Stream<SessionCommands.ListedSession, SessionMisconfigured | Failure, Analytics>
>()
expectTypeOf(SessionCommands.listLocalSessions()).toEqualTypeOf<
  Stream.Stream<SessionCommands.ListedSession, SessionMisconfigured | Failure, MongoClient.MongoClient>
>()
expectTypeOf(SessionCommands.listLocalSessions(client)).toEqualTypeOf<
  Stream.Stream<SessionCommands.ListedSession, SessionMisconfigured | Failure, Analytics>
>()
expectTypeOf(SessionCommands.currentTransactions()).toEqualTypeOf<
  Stream.Stream<SessionCommands.CurrentTransaction, Failure, MongoClient.MongoClient>
>()
expectTypeOf(SessionCommands.currentTransactions({ allUsers: true, ...client })).toEqualTypeOf<
  Stream.Stream<SessionCommands.CurrentTransaction, Failure, Analytics>
>()

expectTypeOf(
  // @ts-expect-error everybody and somebody at once
  SessionCommands.listSessions({ allUsers: true, users: [user] })
)
expectTypeOf(
  // @ts-expect-error $currentOp knows no list of users
  SessionCommands.currentTransactions({ users: [user] })
)

// The program's client replaced

expectTypeOf(SessionCommands.startSession.pipe(SessionCommands.on(Analytics))).toEqualTypeOf<
  Effect.Effect<SessionCommands.StartedSession, Failure, Analytics>
>()
expectTypeOf(SessionCommands.on(Analytics)(SessionCommands.scoped)).toEqualTypeOf<
  Effect.Effect<SessionCommands.StartedSession, Failure, Analytics | Scope.Scope>
>()

// Models

expectTypeOf<SessionCommands.StartedSession>().toEqualTypeOf<
  { readonly id: SessionId; readonly timeout: Duration.Duration }
>()
expectTypeOf<SessionCommands.ListedSession>().toEqualTypeOf<
  { readonly lsid: SessionCommands.Lsid; readonly lastUse: Date; readonly user: Option.Option<string> }
>()
expectTypeOf<SessionCommands.CurrentTransaction>().toEqualTypeOf<{
  readonly lsid: SessionCommands.Lsid
  readonly txnNumber: bigint
  readonly active: boolean
  readonly autocommit: boolean
  readonly readConcern: Option.Option<string>
  readonly readTimestamp: Option.Option<Timestamp>
  readonly startWallClockTime: Date
  readonly timeOpen: Duration.Duration
  readonly timeActive: Duration.Duration
  readonly timeInactive: Duration.Duration
  readonly expiryTime: Option.Option<Date>
}>()
