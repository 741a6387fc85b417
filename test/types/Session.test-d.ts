import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import { pipe } from "effect/Function"
import type * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { ClientSession, ClusterTime, Timestamp } from "mongodb"
import { expectTypeOf } from "vitest"
import type { CausalToken } from "../../src/CausalToken.js"
import * as MongoClient from "../../src/MongoClient.js"
import type { MongoError } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import type {
  AcquireError,
  CausalTokenRefused,
  ForeignSession,
  SessionBusy,
  SessionEnded,
  SessionLapsed,
  SessionMisconfigured,
  TransactionEnded,
  UseError
} from "../../src/SessionErrors.js"
import type { SessionId } from "../../src/SessionId.js"
import type * as SessionOptions from "../../src/SessionOptions.js"
import * as Transaction from "../../src/Transaction.js"

class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}

interface Settings {
  readonly settings: unique symbol
}

declare const session: Session.Service
declare const everything: Layer.Layer<MongoClient.MongoClient | Settings>
declare const work: Effect.Effect<number, "broken", Settings | Session.Session>
declare const free: Effect.Effect<number, "broken", Settings>
declare const maybe: Effect.Effect<number, "broken", Settings | MongoClient.MongoClient>

const options = { causalConsistency: false, onBusy: "fail" } as const
const further = { ...options, client: Analytics }

// make and layer: the client's tag is in R

expectTypeOf(Session.make()).toEqualTypeOf<
  Effect.Effect<Session.Service, AcquireError, MongoClient.MongoClient | Scope.Scope>
>()
expectTypeOf(Session.make(options)).toEqualTypeOf<
  Effect.Effect<Session.Service, AcquireError, MongoClient.MongoClient | Scope.Scope>
>()
expectTypeOf(Session.make(further)).toEqualTypeOf<
  Effect.Effect<Session.Service, AcquireError, Analytics | Scope.Scope>
>()
expectTypeOf(Session.layer()).toEqualTypeOf<Layer.Layer<Session.Session, AcquireError, MongoClient.MongoClient>>()
expectTypeOf(Session.layer(further)).toEqualTypeOf<Layer.Layer<Session.Session, AcquireError, Analytics>>()

// @ts-expect-error an unknown option
void Session.make({ causal: true })
// @ts-expect-error a value that the option does not have
Session.layer({ onBusy: "wait" })

// scoped: opens the session, and takes it out of R

expectTypeOf(Session.scoped(work)).toEqualTypeOf<
  Effect.Effect<number, "broken" | AcquireError, Settings | MongoClient.MongoClient>
>()
expectTypeOf(Session.scoped(work, further)).toEqualTypeOf<
  Effect.Effect<number, "broken" | AcquireError, Settings | Analytics>
>()
expectTypeOf(pipe(work, Session.scoped())).toEqualTypeOf<
  Effect.Effect<number, "broken" | AcquireError, Settings | MongoClient.MongoClient>
>()
expectTypeOf(pipe(work, Session.scoped(further))).toEqualTypeOf<
  Effect.Effect<number, "broken" | AcquireError, Settings | Analytics>
>()

// @effect-diagnostics-next-line anyUnknownInErrorContext:off
void Session.scoped({
  snapshot: true,
  // @ts-expect-error a value that the option does not have
  onBusy: "wait"
})
// @effect-diagnostics-next-line anyUnknownInErrorContext:off
void Session.scoped({
  snapshot: true,
  // @ts-expect-error an unknown option
  causal: true
})
void Session.scoped(work, {
  snapshot: true,
  // @ts-expect-error a value that the option does not have
  onBusy: "wait"
})

// provide: no error is added, and no client needed

expectTypeOf(Session.provide(work, session)).toEqualTypeOf<Effect.Effect<number, "broken", Settings>>()
expectTypeOf(pipe(work, Session.provide(session))).toEqualTypeOf<Effect.Effect<number, "broken", Settings>>()
expectTypeOf(Session.provide(free, session)).toEqualTypeOf<Effect.Effect<number, "broken", Settings>>()

// what needs a transaction is not run in another session than the transaction's

declare const placing: Effect.Effect<number, "broken", Settings | Session.Session | Transaction.Transaction>
type Escapes = Settings | Session.TransactionOfThatSession
expectTypeOf(Session.provide(placing, session)).toEqualTypeOf<Effect.Effect<number, "broken", Escapes>>()
expectTypeOf(Session.scoped(placing)).toEqualTypeOf<
  Effect.Effect<number, "broken" | AcquireError, Escapes | MongoClient.MongoClient>
>()
expectTypeOf(pipe(placing, Session.scoped(), Transaction.run())).toExtend<
  Effect.Effect<number, unknown, Escapes | MongoClient.MongoClient>
>()
// @effect-diagnostics-next-line missingEffectContext:off
// @ts-expect-error nothing provides the transaction of that session
void Effect.runPromise(Transaction.run(Session.provide(placing, session)).pipe(Effect.provide(everything)))
void Effect.runPromise(Transaction.run(Session.ensure(placing)).pipe(Effect.provide(everything)))
declare const placingAlone: Effect.Effect<number, "broken", Settings | Transaction.Transaction>
// @ts-expect-error it needs the transaction that it would be detached from
void Session.detached(placingAlone)

// ensure: as scoped, but the session may be another client's; and the transaction may be that of the session

expectTypeOf(Session.ensure(work)).toEqualTypeOf<
  Effect.Effect<number, "broken" | AcquireError | ForeignSession, Settings | MongoClient.MongoClient>
>()
expectTypeOf(pipe(work, Session.ensure(further))).toEqualTypeOf<
  Effect.Effect<number, "broken" | AcquireError | ForeignSession, Settings | Analytics>
>()
expectTypeOf(Session.ensure(placing)).toEqualTypeOf<
  Effect.Effect<
    number,
    "broken" | AcquireError | ForeignSession,
    Settings | MongoClient.MongoClient | Transaction.Transaction
  >
>()

// detached: what needs a session cannot be detached from it

expectTypeOf(Session.detached(free)).toEqualTypeOf<Effect.Effect<number, "broken", Settings>>()
expectTypeOf(Session.detached(maybe)).toEqualTypeOf<
  Effect.Effect<number, "broken", Settings | MongoClient.MongoClient>
>()
expectTypeOf(pipe(free, (effect) => Session.detached(effect))).toEqualTypeOf<
  Effect.Effect<number, "broken", Settings>
>()
// @ts-expect-error it needs the session that it would be detached from
void Session.detached(work)

// current and use

expectTypeOf(Session.current()).toEqualTypeOf<
  Effect.Effect<Option.Option<Session.Service>, ForeignSession, MongoClient.MongoClient>
>()
expectTypeOf(Session.current({ client: Analytics })).toEqualTypeOf<
  Effect.Effect<Option.Option<Session.Service>, ForeignSession, Analytics>
>()
expectTypeOf(
  Session.use((driverSession, signal) => {
    expectTypeOf(driverSession).toEqualTypeOf<ClientSession>()
    expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
    return Promise.resolve(1)
  })
).toEqualTypeOf<Effect.Effect<number, UseError, Session.Session>>()
// @ts-expect-error an effect is no promise
void Session.use(() => free)

// options from elsewhere

expectTypeOf(Session.decodeOptions).parameters.toEqualTypeOf<[options: unknown]>()
expectTypeOf(Session.decodeOptions({})).toEqualTypeOf<Either.Either<SessionOptions.Decoded, SessionMisconfigured>>()
expectTypeOf(Session.config()).toEqualTypeOf<Config.Config<SessionOptions.SessionOptions>>()
expectTypeOf(Session.config("APP")).toEqualTypeOf<Config.Config<SessionOptions.SessionOptions>>()

// what programs need, and nothing else

expectTypeOf<keyof typeof Session>().toEqualTypeOf<
  | "Session"
  | "config"
  | "current"
  | "decodeOptions"
  | "detached"
  | "ensure"
  | "layer"
  | "make"
  | "provide"
  | "scoped"
  | "use"
>()

// the session itself needs nothing

expectTypeOf(session.id).toEqualTypeOf<SessionId>()
expectTypeOf(session.client).toEqualTypeOf<MongoClient.Service>()
expectTypeOf(session.options).toEqualTypeOf<SessionOptions.Decoded>()
expectTypeOf(session.use(() => Promise.resolve("a"))).toEqualTypeOf<Effect.Effect<string, UseError>>()
expectTypeOf(session.refresh).toEqualTypeOf<
  Effect.Effect<void, SessionEnded | SessionLapsed | SessionBusy | TransactionEnded | MongoError>
>()
expectTypeOf(session.idle).toEqualTypeOf<Effect.Effect<Duration.Duration>>()
expectTypeOf(session.state).toEqualTypeOf<Effect.Effect<Session.State>>()
expectTypeOf(session.operationTime).toEqualTypeOf<Effect.Effect<Option.Option<Timestamp>>>()
expectTypeOf(session.clusterTime).toEqualTypeOf<Effect.Effect<Option.Option<ClusterTime>>>()
expectTypeOf(session.snapshotTime).toEqualTypeOf<Effect.Effect<Option.Option<Timestamp>>>()
expectTypeOf(session.causalToken).toEqualTypeOf<Effect.Effect<CausalToken>>()
expectTypeOf(session.advanceTo).toEqualTypeOf<
  (
    token: CausalToken,
    options?: { readonly maxAhead?: Duration.DurationInput | undefined }
  ) => Effect.Effect<void, SessionEnded | SessionMisconfigured | CausalTokenRefused>
>()
expectTypeOf(session.isDirty).toEqualTypeOf<Effect.Effect<boolean>>()
expectTypeOf(session.serverAddress).toEqualTypeOf<Effect.Effect<Option.Option<string>>>()
expectTypeOf<Session.State>().toEqualTypeOf<"idle" | "busy" | "lapsed" | "broken" | "ended">()
