// Spans and metrics, exported by OpenTelemetry: here to the console, in lines that can be read.
import { NodeSdk } from "@effect/opentelemetry"
import { PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics"
import { SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect, Schema } from "effect"
import { Collection, Session, Transaction } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import { MetricLines, SpanLines } from "./console.js"

const Account = Schema.Struct({ _id: Schema.String, balance: Schema.Number })
const Accounts = Collection.make("accounts", { schema: Account })

const move = (from: string, to: string, amount: number) =>
  Transaction.run(
    Accounts.updateOne({ _id: from }, { $inc: { balance: -amount } }).pipe(
      Effect.zipRight(Accounts.updateOne({ _id: to }, { $inc: { balance: amount } }))
    )
  )

const program = Effect.gen(function*() {
  yield* Accounts.insertMany([{ _id: "Ada", balance: 100 }, { _id: "Ben", balance: 100 }])
  yield* Effect.withSpan(move("Ada", "Ben", 30), "transfer")
  // Two that take the same session: one has to wait for its turn.
  yield* Session.scoped(Effect.all([Accounts.countDocuments(), Accounts.findOne()], { concurrency: 2 }))
  // A failure, which its span and the metrics tell of.
  yield* Effect.ignore(Accounts.insertOne({ _id: "Ada", balance: 0 }))
})

const OpenTelemetry = NodeSdk.layer(() => ({
  resource: { serviceName: "bank" },
  spanProcessor: new SimpleSpanProcessor(new SpanLines()),
  // In a program that goes on, every minute by default; here in the end.
  metricReader: new PeriodicExportingMetricReader({ exporter: new MetricLines() })
}))

await Effect.runPromise(program.pipe(
  Effect.provide(MongoServer.clientOf({ database: "telemetry" })),
  // Around the client, so that what this does in the background is seen, too.
  Effect.provide(OpenTelemetry),
  Effect.provide(MongoServer.layer())
))
