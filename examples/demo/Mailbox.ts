/** The e-mails of the shop. What was sent can't be called back, so nothing may be sent before it is certain. */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"

export class Mailbox extends Effect.Service<Mailbox>()("demo/Mailbox", {
  effect: Effect.map(Ref.make(Chunk.empty<string>()), (sent) => ({
    /** Thanks for an order. */
    send: (order: string) => Ref.update(sent, Chunk.append(order)),
    /** The orders that were thanked for, an order twice if it was so. */
    sent: Effect.map(Ref.get(sent), Chunk.toReadonlyArray)
  }))
}) {}
