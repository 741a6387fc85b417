import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Inspectable from "effect/Inspectable"
import type * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { MongoClient as DriverClient, MongoClientOptions } from "mongodb"
import { expectTypeOf } from "vitest"
import * as MongoClient from "../../src/MongoClient.js"
import type { MongoError } from "../../src/MongoError.js"
import type * as SessionKeeper from "../../src/SessionKeeper.js"

class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}
class Archive extends MongoClient.Tag("Archive")<Archive>() {}

interface Pool {
  readonly pool: unique symbol
}

declare const service: MongoClient.Service
declare const acquire: Effect.Effect<DriverClient, "no client", Pool | Scope.Scope>

const url = Redacted.make("mongodb://localhost")
const options: MongoClient.Options = { url, database: "shop", closeTimeout: "1 second", keepAlive: false }
const fromConfig = { url: Config.redacted("URL"), closeTimeout: Config.duration("CLOSE_TIMEOUT") }

// Constructors and their layers

expectTypeOf(MongoClient.make(options)).toEqualTypeOf<Effect.Effect<MongoClient.Service, MongoError, Scope.Scope>>()
expectTypeOf(MongoClient.makeConfig(fromConfig)).toEqualTypeOf<
  Effect.Effect<MongoClient.Service, MongoError | ConfigError.ConfigError, Scope.Scope>
>()
expectTypeOf(MongoClient.fromDriver(acquire)).toEqualTypeOf<
  Effect.Effect<MongoClient.Service, "no client" | MongoError, Pool | Scope.Scope>
>()
expectTypeOf(MongoClient.layer(options)).toEqualTypeOf<Layer.Layer<MongoClient.MongoClient, MongoError>>()
expectTypeOf(MongoClient.layerConfig(fromConfig)).toEqualTypeOf<
  Layer.Layer<MongoClient.MongoClient, MongoError | ConfigError.ConfigError>
>()
expectTypeOf(MongoClient.layerFromDriver(acquire, { settleTimeout: "1 second" })).toEqualTypeOf<
  Layer.Layer<MongoClient.MongoClient, "no client" | MongoError, Pool>
>()

// @ts-expect-error the URL holds a password, so it is redacted
void MongoClient.make({ url: "mongodb://localhost" })
// @ts-expect-error the URL is needed
MongoClient.layer({})
// @ts-expect-error the caller's client has a URL already
MongoClient.layerFromDriver(acquire, { url })

// The tag of a further client has the same layers, for itself

expectTypeOf(Analytics.layer(options)).toEqualTypeOf<Layer.Layer<Analytics, MongoError>>()
expectTypeOf(Analytics.layerConfig(fromConfig)).toEqualTypeOf<
  Layer.Layer<Analytics, MongoError | ConfigError.ConfigError>
>()
expectTypeOf(Analytics.layerFromDriver(acquire)).toEqualTypeOf<
  Layer.Layer<Analytics, "no client" | MongoError, Pool>
>()
expectTypeOf(Analytics.key).toEqualTypeOf<"effect-mongo-session/MongoClient/Analytics">()
expectTypeOf(Archive.key).toEqualTypeOf<"effect-mongo-session/MongoClient/Archive">()
expectTypeOf<Context.Tag.Service<typeof Analytics>>().toEqualTypeOf<MongoClient.Service>()
expectTypeOf<Context.Tag.Identifier<typeof Analytics>>().not.toEqualTypeOf<Context.Tag.Identifier<typeof Archive>>()
expectTypeOf<Context.Tag.Identifier<typeof Analytics>>().not.toEqualTypeOf<MongoClient.MongoClient>()

// Which client an operation runs on

expectTypeOf(MongoClient.clientOf()).toEqualTypeOf<
  Effect.Effect<MongoClient.Service, never, MongoClient.MongoClient>
>()
expectTypeOf(MongoClient.clientOf({ client: Analytics })).toEqualTypeOf<
  Effect.Effect<MongoClient.Service, never, Analytics>
>()

// Options

expectTypeOf<MongoClient.Options["url"]>().toEqualTypeOf<Redacted.Redacted<string>>()
expectTypeOf<MongoClient.Options["driver"]>().toEqualTypeOf<MongoClientOptions | undefined>()
expectTypeOf<MongoClient.CommonOptions["keepAlive"]>().toEqualTypeOf<SessionKeeper.Options | false | undefined>()
expectTypeOf<MongoClient.CommonOptions["closeTimeout"]>().toEqualTypeOf<Duration.DurationInput | undefined>()
expectTypeOf<MongoClient.CommonOptions["settleTimeout"]>().toEqualTypeOf<Duration.DurationInput | undefined>()
expectTypeOf<MongoClient.CommonOptions["timeout"]>().toEqualTypeOf<Duration.DurationInput | undefined>()

// The service needs nothing

expectTypeOf(service.driver).toEqualTypeOf<DriverClient>()
expectTypeOf(service.database).toEqualTypeOf<string | undefined>()
expectTypeOf(service.sessionTimeout).toEqualTypeOf<Effect.Effect<Option.Option<Duration.Duration>>>()
expectTypeOf(service.deployment).branded.toEqualTypeOf<
  Effect.Effect<
    {
      readonly kind: "standalone" | "replicaSet" | "sharded" | "loadBalanced"
      readonly sessionTimeout: Option.Option<Duration.Duration>
      readonly maxWireVersion: number
    },
    MongoError
  >
>()
expectTypeOf(service.openSessions).toEqualTypeOf<Effect.Effect<number>>()
expectTypeOf(service.settleTimeout).toEqualTypeOf<Duration.Duration>()
expectTypeOf(service.timeout).toEqualTypeOf<Duration.Duration | undefined>()
expectTypeOf(service.closeTimeout).toEqualTypeOf<Duration.Duration>()
// What is for the library only is in none of its names.
expectTypeOf<Extract<keyof MongoClient.Service, string>>().toEqualTypeOf<
  | "driver"
  | "database"
  | "sessionTimeout"
  | "deployment"
  | "openSessions"
  | "settleTimeout"
  | "timeout"
  | "closeTimeout"
  | keyof Inspectable.Inspectable & string
>()
expectTypeOf<keyof typeof MongoClient>().toEqualTypeOf<
  | "MongoClient"
  | "Tag"
  | "bulkWrite"
  | "clientOf"
  | "fromDriver"
  | "layer"
  | "layerConfig"
  | "layerFromDriver"
  | "listDatabases"
  | "make"
  | "makeConfig"
  | "watch"
>()
