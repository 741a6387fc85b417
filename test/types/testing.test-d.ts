import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { MongoClient as DriverClient } from "mongodb"
import { expectTypeOf } from "vitest"
import * as FailPoint from "../../src/testing/FailPoint.js"
import * as MongoServer from "../../src/testing/MongoServer.js"

interface Settings {
  readonly settings: unique symbol
}

declare const server: MongoServer.Service
declare const driver: DriverClient
declare const work: Effect.Effect<number, "broken", Settings>
declare const scopedWork: Effect.Effect<number, "broken", Settings | Scope.Scope>

const options: MongoServer.Options = { which: "mongod", auth: true, standalone: true, startTimeout: "5 seconds" }
const failing: FailPoint.Options = { failCommands: ["insert"], mode: { times: 2 }, errorCode: 112 }

// MongoServer: stopped by its scope

expectTypeOf(MongoServer.make()).toEqualTypeOf<
  Effect.Effect<MongoServer.Service, MongoServer.MongoServerUnavailable, Scope.Scope>
>()
expectTypeOf(MongoServer.make(options)).toEqualTypeOf<
  Effect.Effect<MongoServer.Service, MongoServer.MongoServerUnavailable, Scope.Scope>
>()
expectTypeOf(MongoServer.layer()).toEqualTypeOf<
  Layer.Layer<MongoServer.MongoServer, MongoServer.MongoServerUnavailable>
>()
expectTypeOf(MongoServer.layer(options)).toEqualTypeOf<
  Layer.Layer<MongoServer.MongoServer, MongoServer.MongoServerUnavailable>
>()

// @ts-expect-error a way that there is not
void MongoServer.make({ which: "docker" })
// @ts-expect-error a user has a password
MongoServer.layer({ auth: { username: "tester" } })

// Its tag and its service

expectTypeOf<Context.Tag.Service<typeof MongoServer.MongoServer>>().toEqualTypeOf<MongoServer.Service>()
expectTypeOf<Context.Tag.Identifier<typeof MongoServer.MongoServer>>().toEqualTypeOf<MongoServer.MongoServer>()
expectTypeOf(MongoServer.MongoServer.key).toEqualTypeOf<"effect-mongo-session/testing/MongoServer">()
expectTypeOf(server.url).toEqualTypeOf<string>()
expectTypeOf(server.urlAs).toEqualTypeOf<(credentials: Option.Option<MongoServer.Credentials>) => string>()
expectTypeOf(server.kind).toEqualTypeOf<MongoServer.Kind>()
expectTypeOf(server.version).toEqualTypeOf<string>()
expectTypeOf(server.description).toEqualTypeOf<string>()
expectTypeOf(server.features).toEqualTypeOf<MongoServer.Features>()
expectTypeOf<MongoServer.Kind>().toEqualTypeOf<"uri" | "mongod" | "download" | "wheel">()
expectTypeOf<MongoServer.Credentials>().toEqualTypeOf<{ readonly username: string; readonly password: string }>()
expectTypeOf<MongoServer.Features[keyof MongoServer.Features]>().toEqualTypeOf<boolean>()

// Its options and its error

expectTypeOf<MongoServer.Options["which"]>().toEqualTypeOf<MongoServer.Kind | "auto" | undefined>()
expectTypeOf<MongoServer.Options["auth"]>().toEqualTypeOf<boolean | MongoServer.Credentials | undefined>()
expectTypeOf<MongoServer.Options["startTimeout"]>().toEqualTypeOf<Duration.DurationInput | undefined>()
expectTypeOf<MongoServer.Options["onProgress"]>().toEqualTypeOf<
  ((line: string) => Effect.Effect<void>) | undefined
>()
expectTypeOf<MongoServer.MongoServerUnavailable["_tag"]>().toEqualTypeOf<"MongoServerUnavailable">()
expectTypeOf<MongoServer.MongoServerUnavailable["attempts"]>().toEqualTypeOf<ReadonlyArray<MongoServer.Attempt>>()
expectTypeOf<MongoServer.Attempt>().toEqualTypeOf<
  {
    readonly way: MongoServer.Kind | "settings"
    readonly reason: string
    readonly fix: string
    readonly output: ReadonlyArray<string>
  }
>()

// FailPoint.failCommand: set until the scope closes

expectTypeOf<DriverClient>().toExtend<FailPoint.Client>()
expectTypeOf(FailPoint.failCommand(driver, failing)).toEqualTypeOf<
  Effect.Effect<void, FailPoint.FailPointFailed, Scope.Scope>
>()

// FailPoint.during: set while the effect runs, whose own scope it closes

expectTypeOf(FailPoint.during(driver, failing)(work)).toEqualTypeOf<
  Effect.Effect<number, "broken" | FailPoint.FailPointFailed, Settings>
>()
expectTypeOf(scopedWork.pipe(FailPoint.during(driver, failing))).toEqualTypeOf<
  Effect.Effect<number, "broken" | FailPoint.FailPointFailed, Settings>
>()
expectTypeOf<FailPoint.FailPointFailed["_tag"]>().toEqualTypeOf<"FailPointFailed">()
expectTypeOf<FailPoint.FailPointFailed["code"]>().toEqualTypeOf<number | undefined>()
expectTypeOf<FailPoint.FailPointFailed["hint"]>().toEqualTypeOf<string>()
expectTypeOf<FailPoint.Options["mode"]>().toEqualTypeOf<
  "alwaysOn" | { readonly times: number } | { readonly skip: number } | undefined
>()
expectTypeOf<FailPoint.Options["blockFor"]>().toEqualTypeOf<Duration.DurationInput | undefined>()

// @ts-expect-error which commands fail must be said
void FailPoint.failCommand(driver, {})
// @ts-expect-error the library's client is not the driver's
FailPoint.during({ driver }, failing)
