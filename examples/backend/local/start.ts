// `npm start`: a replica set of three and two instances of the shop, until Ctrl-C.
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import * as Instance from "./instance.js"

const order = (url: string) =>
  `curl -i ${url}/orders -H 'content-type: application/json' -H 'idempotency-key: "1"' ` +
  `-d '{"customer":"ada","product":"beans","quantity":1}'`

const program = Effect.gen(function*() {
  const [first, second] = yield* Effect.all([
    Instance.start({ port: 8080, log: console.error }),
    Instance.start({ port: 8081, log: console.error })
  ], { concurrency: "unbounded" })
  yield* Console.log([
    "",
    `  live page   ${first.url}/   ${second.url}/`,
    `  API         ${first.url}/docs`,
    `  an order    ${order(first.url)}`,
    "",
    "  Ctrl-C ends it, and the database with it."
  ].join("\n"))
  yield* Effect.never
})

NodeRuntime.runMain(program.pipe(Effect.scoped, Effect.provide(MongoServer.layer({ members: 3 }))))
