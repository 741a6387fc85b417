// The mail service: a stand-in that records what it is asked to send. Like the real ones it knows a message by its id, and
// sends none twice.
import { Context, Effect, Layer, Schema } from "effect"
import { Collection, MongoClient } from "effect-mongo-session"
import type { SessionErrors } from "effect-mongo-session"
import type { OperationError } from "effect-mongo-session/Collection"
import { Mail } from "./model.js"

/** What was sent. In a database of its own, for it is not the shop's. */
export const Sent = Collection.make("sent", {
  database: "mail_service",
  schema: Schema.Struct({ _id: Schema.String, ...Mail.fields })
})

export class MailService extends Context.Tag("backend/MailService")<MailService, {
  readonly send: (id: string, mail: Mail) => Effect.Effect<void, OperationError | SessionErrors.DecodeFailed>
}>() {
  static readonly Recording = Layer.effect(
    MailService,
    Effect.map(MongoClient.MongoClient, (client) => ({
      send: (id, mail) =>
        Sent.insertOne({ _id: id, ...mail }).pipe(
          Effect.asVoid,
          Effect.catchIf(
            (error) => error._tag === "MongoError" && error.reason === "DuplicateKey",
            () => Effect.void
          ),
          Effect.provideService(MongoClient.MongoClient, client)
        )
    }))
  )
}
