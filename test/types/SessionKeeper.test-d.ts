import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type { ServerSessionId } from "mongodb"
import { expectTypeOf } from "vitest"
import type { MongoError } from "../../src/MongoError.js"
import * as SessionKeeper from "../../src/SessionKeeper.js"

declare const refresh: (ids: ReadonlyArray<ServerSessionId>) => Effect.Effect<void, MongoError>
declare const timeout: Effect.Effect<Option.Option<Duration.Duration>>
declare const schedule: Schedule.Schedule<number, unknown, "settings">

// make: needs no more than it is given, so that the keeper is an ordinary value

expectTypeOf(SessionKeeper.make(refresh, timeout, {})).toEqualTypeOf<SessionKeeper.SessionKeeper>()
expectTypeOf(SessionKeeper.make).parameters.toEqualTypeOf<
  [
    refresh: (ids: ReadonlyArray<ServerSessionId>) => Effect.Effect<void, MongoError>,
    timeout: Effect.Effect<Option.Option<Duration.Duration>>,
    options: SessionKeeper.Options
  ]
>()

// a timeout that can fail would end the keep-alive
expectTypeOf<Effect.Effect<Option.Option<Duration.Duration>, "unready">>()
  .not.toExtend<Parameters<typeof SessionKeeper.make>[1]>()
// @ts-expect-error a schedule that needs a service would leave it to the client's
SessionKeeper.make(refresh, timeout, { schedule })

// The keeper neither fails nor needs anything

expectTypeOf<SessionKeeper.SessionKeeper["add"]>().toEqualTypeOf<
  (member: SessionKeeper.Member) => Effect.Effect<void>
>()
expectTypeOf<SessionKeeper.SessionKeeper["remove"]>().toEqualTypeOf<(member: SessionKeeper.Member) => void>()
expectTypeOf<SessionKeeper.SessionKeeper["members"]>().toEqualTypeOf<() => ReadonlyArray<SessionKeeper.Member>>()
expectTypeOf<SessionKeeper.SessionKeeper["round"]>().toEqualTypeOf<Effect.Effect<SessionKeeper.Round>>()
expectTypeOf<SessionKeeper.SessionKeeper["run"]>().toEqualTypeOf<Effect.Effect<void>>()
expectTypeOf<SessionKeeper.Round>().toEqualTypeOf<
  { readonly refreshed: number; readonly commands: number; readonly lapsed: number }
>()

// A member of it

expectTypeOf<SessionKeeper.Member["lsid"]>().toEqualTypeOf<() => ServerSessionId>()
expectTypeOf<SessionKeeper.Member["keepAlive"]>().toEqualTypeOf<() => boolean>()
expectTypeOf<SessionKeeper.Member["isBusy"]>().toEqualTypeOf<() => boolean>()
expectTypeOf<SessionKeeper.Member["idleAt"]>().returns.toEqualTypeOf<number>()
expectTypeOf<SessionKeeper.Member["touch"]>().returns.toEqualTypeOf<void>()
expectTypeOf<SessionKeeper.Member["noteLapse"]>().toEqualTypeOf<() => boolean>()
expectTypeOf<SessionKeeper.Member["close"]>().toEqualTypeOf<Effect.Effect<void>>()

// Options

expectTypeOf<Required<SessionKeeper.Options>>().toEqualTypeOf<{
  readonly schedule: Schedule.Schedule<unknown> | undefined
  readonly idleFor: Duration.DurationInput | undefined
  readonly retry: Schedule.Schedule<unknown, MongoError> | undefined
}>()
expectTypeOf<{}>().toExtend<SessionKeeper.Options>()

// batches

expectTypeOf(SessionKeeper.batches([1, 2])).toEqualTypeOf<ReadonlyArray<ReadonlyArray<number>>>()
expectTypeOf(SessionKeeper.batchSize).toEqualTypeOf<number>()
expectTypeOf<keyof typeof SessionKeeper>().toEqualTypeOf<"batchSize" | "batches" | "make">()
