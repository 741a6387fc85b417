/**
 * The null responder: `nullResponder.ts <documents per batch>` answers at once, whatever it is asked, prints its URL, and stays
 * as long as the process that started it.
 */
import * as Effect from "effect/Effect"
import { Long } from "mongodb"
import * as Responder from "../test/support/Responder.js"
import { person } from "./documents.js"
import { endWithParent } from "./ending.js"

endWithParent()

const length = Number(process.argv[2])
const batch = Array.from({ length }, () => person)
// A cursor of whole batches never ends: the reader's limit ends it.
const cursor = { id: length === 1 ? Long.ZERO : Long.ONE, ns: "test.people" }

const program = Effect.scoped(Effect.gen(function*() {
  const { url } = yield* Responder.make({
    record: false,
    handlers: {
      find: { cursor: { ...cursor, firstBatch: batch } },
      getMore: { cursor: { ...cursor, nextBatch: batch } },
      insert: { n: 1 },
      update: { n: 1, nModified: 1 },
      commitTransaction: {},
      refreshSessions: {},
      ping: {}
    }
  })
  console.log(JSON.stringify(url))
  return yield* Effect.never
}))

await Effect.runPromise(program)
