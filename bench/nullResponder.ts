/**
 * The null responder: `nullResponder.ts <documents per batch>` answers at once, whatever it is asked, prints its URL, and stays
 * as long as the process that started it.
 */
import * as Effect from "effect/Effect"
import * as Responder from "../test/support/server/responder.js"
import { endWithParent } from "./parent.js"
import { replies } from "./replies.js"

endWithParent()

const program = Effect.scoped(Effect.gen(function*() {
  const { url } = yield* Responder.make({ record: false, handlers: replies(Number(process.argv[2])) })
  console.log(JSON.stringify(url))
  return yield* Effect.never
}))

await Effect.runPromise(program)
