import type * as Schema from "@effect/schema/Schema"
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type * as Equal from "effect/Equal"
import { pipe } from "effect/Function"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type { Timestamp } from "mongodb"
import { expectTypeOf } from "vitest"
import * as CausalToken from "../../src/CausalToken.js"
import type * as ChangeStream from "../../src/ChangeStream.js"
import * as MongoError from "../../src/MongoError.js"
import * as OldSchemas from "../../src/OldSchemas.js"
import type * as Outbox from "../../src/Outbox.js"
import * as SessionErrors from "../../src/SessionErrors.js"
import * as SessionId from "../../src/SessionId.js"
import * as SessionOptions from "../../src/SessionOptions.js"
import type * as Transaction from "../../src/Transaction.js"
import * as TransactionOptions from "../../src/TransactionOptions.js"

declare const token: CausalToken.CausalToken
declare const bytes: Uint8Array
declare const acquireError: SessionErrors.AcquireError
declare const useError: SessionErrors.UseError

/** The tags of a union of errors. */
type Tag<E extends { readonly _tag: string }> = E["_tag"]

// CausalToken

expectTypeOf(CausalToken.empty).toEqualTypeOf<CausalToken.CausalToken>()
expectTypeOf(CausalToken.encode).toEqualTypeOf<(token: CausalToken.CausalToken) => string>()
expectTypeOf(CausalToken.decode).toEqualTypeOf<
  (text: string) => Either.Either<CausalToken.CausalToken, SessionErrors.DecodeFailed>
>()
expectTypeOf(CausalToken.merge(token, token)).toEqualTypeOf<CausalToken.CausalToken>()
expectTypeOf(pipe(token, CausalToken.merge(token))).toEqualTypeOf<CausalToken.CausalToken>()
expectTypeOf(OldSchemas.CausalTokenFromString).toEqualTypeOf<Schema.Schema<CausalToken.CausalToken, string>>()
expectTypeOf(CausalToken.signed).toEqualTypeOf<
  (
    secrets: Redacted.Redacted | ReadonlyArray<Redacted.Redacted>
  ) => Either.Either<CausalToken.Signed, SessionErrors.SessionMisconfigured>
>()
// @ts-expect-error a secret is redacted, so that no log shows it
CausalToken.signed("secret")
expectTypeOf(token.operationTime).toEqualTypeOf<Option.Option<bigint>>()
expectTypeOf(token.clusterTime).toEqualTypeOf<Option.Option<CausalToken.ClusterTime>>()
expectTypeOf(token.toJSON()).toEqualTypeOf<string>()
expectTypeOf(token).toExtend<Equal.Equal>()
expectTypeOf<CausalToken.ClusterTime>().toEqualTypeOf<
  { readonly time: bigint; readonly hash: Uint8Array; readonly keyId: bigint }
>()

// @ts-expect-error a time is a bigint: a number has too few bits
void (() => new CausalToken.CausalToken({ operationTime: 1 }))
// @ts-expect-error a token of another process comes as text, and is decoded
CausalToken.merge(token, "ct1.")

// SessionId

expectTypeOf(SessionId.SessionId.fromBytes(bytes)).toEqualTypeOf<SessionId.SessionId>()
expectTypeOf(SessionId.SessionId.fromString("")).toEqualTypeOf<
  Either.Either<SessionId.SessionId, SessionErrors.DecodeFailed>
>()
expectTypeOf(OldSchemas.SessionIdFromString).toEqualTypeOf<Schema.Schema<SessionId.SessionId, string>>()
expectTypeOf<SessionId.SessionId["uuid"]>().toEqualTypeOf<string>()
expectTypeOf<SessionId.SessionId["hex"]>().toEqualTypeOf<string>()
expectTypeOf<SessionId.SessionId["bytes"]>().toEqualTypeOf<Uint8Array>()
expectTypeOf<SessionId.SessionId>().toExtend<Equal.Equal>()

// @ts-expect-error any text could be given to it
void (() => new SessionId.SessionId("a"))

// SessionOptions

expectTypeOf<keyof SessionOptions.SessionOptions>().toEqualTypeOf<keyof SessionOptions.Decoded>()
expectTypeOf<Required<SessionOptions.SessionOptions>>().toEqualTypeOf<{
  readonly causalConsistency: boolean | undefined
  readonly snapshot: boolean | undefined
  readonly snapshotTime: Timestamp | undefined
  readonly defaultTransactionOptions: TransactionOptions.TransactionOptions | undefined
  readonly keepAlive: boolean | undefined
  readonly onBusy: "queue" | "fail" | undefined
  readonly onLapse: "fail" | "renew" | undefined
  readonly release: "pool" | "end" | undefined
  readonly settleTimeout: Duration.DurationInput | undefined
  readonly timeout: Duration.DurationInput | undefined
}>()
expectTypeOf<{}>().toExtend<SessionOptions.SessionOptions>()
expectTypeOf<SessionOptions.Decoded>().toExtend<SessionOptions.SessionOptions>()
expectTypeOf<SessionOptions.Decoded["settleTimeout"]>().toEqualTypeOf<Duration.Duration | undefined>()
expectTypeOf<SessionOptions.Decoded["timeout"]>().toEqualTypeOf<Duration.Duration | undefined>()
expectTypeOf<SessionOptions.Decoded["onBusy"]>().toEqualTypeOf<"queue" | "fail">()
expectTypeOf(SessionOptions.decode).toEqualTypeOf<
  (options: unknown) => Either.Either<SessionOptions.Decoded, SessionErrors.SessionMisconfigured>
>()
expectTypeOf(SessionOptions.config).toEqualTypeOf<(prefix?: string) => Config.Config<SessionOptions.Decoded>>()

// TransactionOptions

expectTypeOf<keyof TransactionOptions.TransactionOptions>().toEqualTypeOf<keyof TransactionOptions.Decoded>()
expectTypeOf<{}>().toExtend<TransactionOptions.TransactionOptions>()
expectTypeOf<TransactionOptions.Decoded>().toExtend<TransactionOptions.TransactionOptions>()
expectTypeOf<TransactionOptions.ReadConcernLevel>().toEqualTypeOf<"local" | "majority" | "snapshot">()
expectTypeOf<TransactionOptions.ReadPreferenceMode>().toEqualTypeOf<
  "primary" | "primaryPreferred" | "secondary" | "secondaryPreferred" | "nearest"
>()
expectTypeOf<TransactionOptions.Decoded["timeout"]>().toEqualTypeOf<Duration.Duration | undefined>()
expectTypeOf<TransactionOptions.Resolved["timeout"]>().toEqualTypeOf<Duration.Duration>()
expectTypeOf(TransactionOptions.defaultTimeout).toEqualTypeOf<Duration.Duration>()
expectTypeOf(TransactionOptions.decode).toEqualTypeOf<
  (options: unknown) => Either.Either<TransactionOptions.Decoded, SessionErrors.SessionMisconfigured>
>()
expectTypeOf(TransactionOptions.merge).toEqualTypeOf<
  (
    start: TransactionOptions.Decoded,
    sessionDefaults: TransactionOptions.Decoded | undefined
  ) => TransactionOptions.Resolved
>()
expectTypeOf(TransactionOptions.config).toEqualTypeOf<
  (prefix?: string) => Config.Config<TransactionOptions.Decoded>
>()
expectTypeOf<{ readonly readConcern: "majority"; readonly writeConcern: { readonly w: "majority" } }>()
  .toExtend<TransactionOptions.TransactionOptions>()
expectTypeOf<{ readonly readConcern: "linearizable" }>().not.toExtend<TransactionOptions.TransactionOptions>()
expectTypeOf<{ readonly readPreference: { readonly tags: [] } }>()
  .not.toExtend<TransactionOptions.TransactionOptions>()

expectTypeOf<keyof typeof TransactionOptions>().toEqualTypeOf<"config" | "decode" | "defaultTimeout" | "merge">()

// MongoError

expectTypeOf(MongoError.classify).toEqualTypeOf<(facts: MongoError.Facts) => MongoError.Reason>()
expectTypeOf(MongoError.classify({ labels: [], code: 11000 })).toEqualTypeOf<MongoError.Reason>()
expectTypeOf<MongoError.MongoError["_tag"]>().toEqualTypeOf<"MongoError">()
expectTypeOf<MongoError.MongoError["reason"]>().toEqualTypeOf<MongoError.Reason>()
expectTypeOf<MongoError.MongoError["operation"]>().toEqualTypeOf<string>()
expectTypeOf<MongoError.MongoError["namespace"]>().toEqualTypeOf<string | undefined>()
expectTypeOf<MongoError.MongoError["code"]>().toEqualTypeOf<number | undefined>()
expectTypeOf<MongoError.MongoError["codeName"]>().toEqualTypeOf<string | undefined>()
expectTypeOf<MongoError.MongoError["labels"]>().toEqualTypeOf<ReadonlyArray<string>>()
expectTypeOf<MongoError.MongoError["isRetryable"]>().toEqualTypeOf<boolean>()
expectTypeOf<MongoError.MongoError["hasLabel"]>().toEqualTypeOf<(label: string) => boolean>()
expectTypeOf<MongoError.MongoError["cause"]>().toEqualTypeOf<unknown>()
expectTypeOf<MongoError.MongoError["details"]>().toEqualTypeOf<MongoError.Details | undefined>()
expectTypeOf<MongoError.Details["_tag"]>().toEqualTypeOf<"DuplicateKey" | "DocumentInvalid" | "BulkWrite">()
// closed, so that a switch over it can be exhaustive
expectTypeOf<string>().not.toExtend<MongoError.Reason>()
expectTypeOf<keyof typeof MongoError.Label>().toExtend<(typeof MongoError.Label)[keyof typeof MongoError.Label]>()

// @ts-expect-error the labels are what is looked at first
MongoError.classify({ code: 11000 })
// @ts-expect-error a code of the driver's own, which is no number, says nothing here
MongoError.classify({ labels: [], code: "ETIMEDOUT" })

// The unions of errors

expectTypeOf(acquireError).toEqualTypeOf<
  | SessionErrors.SessionMisconfigured
  | SessionErrors.CryptoUnavailable
  | SessionErrors.SessionsUnsupported
  | SessionErrors.UnacknowledgedWrite
  | MongoError.MongoError
>()
expectTypeOf(useError).toEqualTypeOf<
  | SessionErrors.SessionEnded
  | SessionErrors.SessionLapsed
  | SessionErrors.SessionBusy
  | SessionErrors.UnacknowledgedWrite
  | SessionErrors.TransactionEnded
  | SessionErrors.TransactionDoomed
  | MongoError.MongoError
>()
expectTypeOf<Tag<SessionErrors.AcquireError>>().toEqualTypeOf<
  "SessionMisconfigured" | "CryptoUnavailable" | "SessionsUnsupported" | "UnacknowledgedWrite" | "MongoError"
>()
expectTypeOf<Tag<SessionErrors.UseError>>().toEqualTypeOf<
  | "SessionEnded"
  | "SessionLapsed"
  | "SessionBusy"
  | "UnacknowledgedWrite"
  | "TransactionEnded"
  | "TransactionDoomed"
  | "MongoError"
>()
// what can't happen is not in the type
type Place = "SessionMisconfigured" | "ForeignSession" | "TransactionEnded"
type Own =
  | Tag<SessionErrors.AcquireError>
  | "SessionEnded"
  | "SessionLapsed"
  | "SessionBusy"
  | "TransactionAborted"
  | "CommitUnknown"
  | "TransactionDoomed"
  | "TransactionUnsupported"
expectTypeOf<Tag<SessionErrors.TransactionError>>().toEqualTypeOf<Place | Own | "IncompatibleJoin">()
expectTypeOf<Tag<SessionErrors.TransactionError<"requiresNew">>>().toEqualTypeOf<Place | Own>()
expectTypeOf<Tag<SessionErrors.TransactionError<"mandatory">>>().toEqualTypeOf<
  Place | "TransactionRequired" | "IncompatibleJoin"
>()
expectTypeOf<Tag<SessionErrors.TransactionError<"never">>>().toEqualTypeOf<
  Place | Tag<SessionErrors.AcquireError> | "TransactionForbidden"
>()
expectTypeOf<Tag<SessionErrors.SandboxError>>().toEqualTypeOf<Exclude<Place | Own, "CommitUnknown">>()
// what goes wrong with a session goes wrong with a transaction in it
expectTypeOf<SessionErrors.AcquireError>().toExtend<SessionErrors.TransactionError>()
expectTypeOf<SessionErrors.UseError>().toExtend<SessionErrors.TransactionError>()

// Misuse: what a program that handles the rest has left

interface TakesStock {
  readonly stock: unique symbol
}
declare const takesStock: Effect.Effect<
  number,
  | "sold out"
  | SessionErrors.TransactionError<Transaction.Propagation>
  | SessionErrors.OperationError
  | SessionErrors.DecodeFailed,
  TakesStock
>
type ActedOn =
  | "sold out"
  | MongoError.MongoError
  | SessionErrors.DecodeFailed
  | SessionErrors.SessionLapsed
  | SessionErrors.TransactionAborted
  | SessionErrors.CommitUnknown
  | SessionErrors.TransactionDoomed

expectTypeOf(takesStock.pipe(SessionErrors.orDieOnMisuse)).toEqualTypeOf<Effect.Effect<number, ActedOn, TakesStock>>()
expectTypeOf(SessionErrors.orDieOnMisuse(takesStock)).toEqualTypeOf<Effect.Effect<number, ActedOn, TakesStock>>()
expectTypeOf<Tag<SessionErrors.Misuse>>().toEqualTypeOf<
  | "SessionMisconfigured"
  | "CryptoUnavailable"
  | "SessionsUnsupported"
  | "SessionEnded"
  | "SessionBusy"
  | "ForeignSession"
  | "UnacknowledgedWrite"
  | "TransactionRequired"
  | "TransactionForbidden"
  | "IncompatibleJoin"
  | "InvalidInTransaction"
  | "TransactionUnsupported"
  | "TransactionEnded"
>()
expectTypeOf(SessionErrors.isMisuse).guards.toEqualTypeOf<SessionErrors.Misuse>()
expectTypeOf<Tag<SessionErrors.OperationError>>().toEqualTypeOf<
  Tag<SessionErrors.UseError> | "ForeignSession" | "InvalidInTransaction"
>()
expectTypeOf<ChangeStream.WatchError>().toEqualTypeOf<SessionErrors.WatchError>()
expectTypeOf<ChangeStream.ConsumeError>().toEqualTypeOf<SessionErrors.ConsumeError>()
expectTypeOf<Outbox.PublishError>().toEqualTypeOf<SessionErrors.PublishError>()
expectTypeOf<Outbox.RelayError>().toEqualTypeOf<SessionErrors.RelayError>()
expectTypeOf<Transaction.ManualError>().toEqualTypeOf<SessionErrors.ManualError>()

// Every error of misuse has a hint

expectTypeOf<Exclude<SessionErrors.TransactionError<Transaction.Propagation>, MongoError.MongoError>["hint"]>()
  .toEqualTypeOf<string>()

// The fields of the errors

/** What an error is made with. */
type Fields<E extends new(fields: never) => unknown> = E extends new(fields: infer F) => unknown ? F : never

expectTypeOf<SessionErrors.SessionMisconfigured["issues"]>().toEqualTypeOf<ReadonlyArray<SessionErrors.Issue>>()
expectTypeOf<SessionErrors.SessionsUnsupported["reason"]>().toEqualTypeOf<
  "NoSessionTimeout" | "WireVersion" | "SnapshotReads"
>()
expectTypeOf<SessionErrors.SessionsUnsupported["found"]>().toEqualTypeOf<string | undefined>()
expectTypeOf<SessionErrors.SessionsUnsupported["required"]>().toEqualTypeOf<string | undefined>()
expectTypeOf<Fields<typeof SessionErrors.SessionEnded>>().toEqualTypeOf<
  { readonly operation: string; readonly reason: "released" | "broken" }
>()
expectTypeOf<Fields<typeof SessionErrors.SessionLapsed>>().toEqualTypeOf<
  { readonly operation: string; readonly idle: Duration.Duration; readonly timeout: Duration.Duration }
>()
expectTypeOf<Omit<Fields<typeof SessionErrors.SessionBusy>, "reason">>().toEqualTypeOf<
  { readonly operation: string; readonly holder: string }
>()
expectTypeOf<SessionErrors.SessionBusy["reason"]>().toEqualTypeOf<"running" | "use" | "outside" | undefined>()
expectTypeOf<Fields<typeof SessionErrors.ForeignSession>>().toEqualTypeOf<{ readonly operation: string }>()
expectTypeOf<Fields<typeof SessionErrors.UnacknowledgedWrite>>().toEqualTypeOf<
  {
    readonly operation: string
    readonly source: "operation" | "collection" | "database" | "client" | "transaction" | "session"
  }
>()
expectTypeOf<SessionErrors.DecodeFailed["source"]>().toEqualTypeOf<string>()
expectTypeOf<SessionErrors.DecodeFailed["documentId"]>().toEqualTypeOf<string | undefined>()
expectTypeOf<SessionErrors.DecodeFailed["path"]>().toEqualTypeOf<ReadonlyArray<string>>()
expectTypeOf<SessionErrors.DecodeFailed["issue"]>().toEqualTypeOf<string>()
expectTypeOf(SessionErrors.DecodeFailed.fromParseError).returns.toEqualTypeOf<SessionErrors.DecodeFailed>()

expectTypeOf<Fields<typeof SessionErrors.TransactionAborted>>().toEqualTypeOf<
  {
    readonly attempts: number
    readonly elapsed: Duration.Duration
    readonly last: unknown
    readonly reasons?:
      | ReadonlyArray<{ readonly reason: MongoError.Reason; readonly count: number }>
      | undefined
    readonly nested?: boolean | undefined
    readonly conflict?: MongoError.Conflict | undefined
  }
>()
expectTypeOf<SessionErrors.TransactionAborted["labels"]>().toEqualTypeOf<ReadonlyArray<string>>()
expectTypeOf<Fields<typeof SessionErrors.CommitUnknown>>().toEqualTypeOf<
  {
    readonly attempts: number
    readonly elapsed: Duration.Duration
    readonly last: MongoError.MongoError
    readonly isRepeatable?: boolean | undefined
  }
>()
expectTypeOf<SessionErrors.CommitUnknown["labels"]>().toEqualTypeOf<ReadonlyArray<string>>()
expectTypeOf<Fields<typeof SessionErrors.TransactionDoomed>>().toEqualTypeOf<
  { readonly first: unknown; readonly isRollbackOnly?: boolean | undefined }
>()
expectTypeOf<Fields<typeof SessionErrors.TransactionRequired>>().toEqualTypeOf<{ readonly operation: string }>()
expectTypeOf<Fields<typeof SessionErrors.TransactionForbidden>>().toEqualTypeOf<{ readonly operation: string }>()
expectTypeOf<Omit<Fields<typeof SessionErrors.IncompatibleJoin>, "conflicts">>().toEqualTypeOf<
  { readonly options: ReadonlyArray<string> }
>()
expectTypeOf<Omit<Fields<typeof SessionErrors.InvalidInTransaction>, "place" | "source">>().toEqualTypeOf<
  { readonly operation: string; readonly option: string }
>()
expectTypeOf<SessionErrors.InvalidInTransaction["place"]>().toEqualTypeOf<"session" | "sandbox" | undefined>()
expectTypeOf<SessionErrors.TransactionUnsupported["reason"]>().toEqualTypeOf<"Standalone" | "SnapshotSession">()
expectTypeOf<Fields<typeof SessionErrors.TransactionEnded>>().toEqualTypeOf<{ readonly operation: string }>()
