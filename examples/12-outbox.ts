// Publishes messages with what they tell of: both are committed, or none. A relay delivers them in order, at least once.
import { Data, Effect, Schema, Stream } from "effect"
import { Collection, Outbox, Transaction } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

class Refused extends Data.TaggedError("Refused")<{ readonly why: string }> {}

const Orders = Collection.make("orders_placed", {
  schema: Schema.Struct({ _id: Schema.Number, total: Schema.NumberFromString })
})
const Mails = Outbox.make("mails", { schema: Schema.Struct({ order: Schema.Number, text: Schema.String }) })

const place = (_id: number, total: number) =>
  Effect.gen(function*() {
    yield* Orders.insertOne({ _id, total })
    yield* Mails.publish({ order: _id, text: `thank you for ${total} EUR` })
    if (total > 1_000) return yield* new Refused({ why: "too much" })
  }).pipe(Transaction.run())

/** What has been delivered, by the id of the message: by that the receiver knows what it has already. */
const received = new Map<string, string>()
let isDown = true

const send = ({ id, message }: Outbox.Delivery<{ readonly order: number; readonly text: string }>) =>
  Effect.gen(function*() {
    const mail = `order ${message.order}: ${message.text}`
    yield* Effect.log(received.has(id) ? "received already:" : "received:", mail)
    received.set(id, mail)
    if (message.order === 3 && isDown) return yield* Effect.fail("the answer of the mail server was lost")
  })

const relay = Mails.relay(send)

const program = Effect.gen(function*() {
  yield* Orders.deleteMany({})
  // What an earlier run may have left.
  const left = yield* Mails.pending
  yield* Mails.relay(() => Effect.void).pipe(Stream.take(left), Stream.runDrain)

  yield* place(1, 20)
  const refused = yield* Effect.flip(place(2, 2_000))
  yield* Effect.log(`order 2: ${refused._tag}`)
  yield* place(3, 30)
  yield* place(4, 40)
  yield* Effect.log(`${yield* Mails.pending} messages are waiting`)

  yield* Effect.log((yield* Effect.flip(Stream.runDrain(relay))).message)
  isDown = false
  yield* Stream.runDrain(Stream.take(relay, 2))
  yield* Effect.log(`${received.size} different mails have come`)
  yield* Effect.log(`${yield* Mails.pending} messages are waiting`)
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
