/**
 * One instance of the shop. `PORT`, `MONGO_URL` and `CAUSAL_TOKEN_SECRET` tell it what it needs; see README.md.
 */
import { HttpApiBuilder, HttpApiSwagger, HttpServer } from "@effect/platform"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { MongoClient } from "effect-mongo-session"
import type { MongoClientOptions } from "mongodb"
import { ApiLive } from "./handlers.js"
import * as Mails from "./mails.js"
import { MailService } from "./MailService.js"
import { everyAnswer } from "./middleware.js"
import { openShop } from "./opening.js"
import { PagesLive } from "./pages.js"
import { FinishRequests, Shutdown } from "./shutdown.js"
import { TelemetryLive } from "./telemetry.js"

const DatabaseLive = MongoClient.layerConfig({
  url: Config.redacted("MONGO_URL"),
  database: Config.succeed("shop"),
  // What most members have outlives the loss of one.
  driver: Config.succeed<MongoClientOptions>({ appName: "shop", writeConcern: { w: "majority" } })
})

const ServerLive = Layer.unwrapEffect(Effect.map(Shutdown, ({ server }) =>
  NodeHttpServer.layerConfig(() => server, {
    port: Config.withDefault(Config.integer("PORT"), 8080),
    host: Config.withDefault(Config.string("HOST"), "127.0.0.1")
  })))

const RelayLive = Layer.provide(Layer.scopedDiscard(Effect.forkScoped(Mails.relay)), MailService.Recording)

const tellAddress = Layer.effectDiscard(
  HttpServer.addressFormattedWith((address) => Console.log(`listening at ${address}`))
)

const InstanceLive = Layer.mergeAll(FinishRequests, tellAddress).pipe(
  Layer.provide(HttpApiBuilder.serve(everyAnswer)),
  Layer.provide([HttpApiSwagger.layer(), PagesLive]),
  Layer.provide(ApiLive),
  Layer.provide(RelayLive),
  Layer.provide(Layer.effectDiscard(openShop)),
  Layer.provide(ServerLive),
  Layer.provide([DatabaseLive, Shutdown.Default]),
  Layer.provide(TelemetryLive)
)

NodeRuntime.runMain(Layer.launch(InstanceLive))
