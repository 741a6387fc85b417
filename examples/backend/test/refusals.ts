// Bodies that this server does not take: each is answered at once, and costs nothing; its client may mend it and go on.
import { Effect, Option } from "effect"
import { randomUUID } from "node:crypto"
import * as Http from "./http.js"
import { orderOf } from "./load.js"
import { claim } from "./report.js"
import * as Shop from "./shop.js"

const json = "application/json"

interface Sent {
  readonly what: string
  readonly body: Http.Body
  readonly type: string
  readonly status: number
}

const [cart] = Shop.carts(1)
const text = JSON.stringify(cart)
const megabyte = JSON.stringify({ ...cart, note: "z".repeat(1_000_000) })

const sent: ReadonlyArray<Sent> = [
  ...["application/octet-stream", "application/vnd.api+json", "multipart/form-data; boundary=x", "text/plain"].map(
    (type): Sent => ({ what: type, body: text, type, status: 415 })
  ),
  { what: "1 MB of JSON", body: megabyte, type: json, status: 413 },
  { what: "1 MB whose length is not told", body: new Blob([megabyte]).stream(), type: json, status: 411 },
  { what: "half of a JSON text", body: text.slice(0, -4), type: json, status: 400 },
  { what: "JSON that is no cart", body: "[]", type: json, status: 400 },
  { what: "JSON that is nested 30,000 deep", body: "[".repeat(30_000) + "]".repeat(30_000), type: json, status: 400 }
]

/** Sends each of them with the key of an order that is placed then. */
export const check = (url: string, log: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const key = randomUUID()
    const before = log.length
    for (const { body, status, type, what } of sent) {
      const answer = yield* Http.post(url, key, body, { "content-type": type }).pipe(
        Effect.timeoutOption("1 second"),
        Effect.map(Option.getOrUndefined),
        Effect.orElseSucceed(() => undefined)
      )
      yield* claim(`${what}: ${answer?.status ?? "no answer"}`, answer?.status === status)
      // The answer of a request that had a session tells what it has seen.
      if (status !== 400) {
        yield* claim("no session was opened for it", answer !== undefined && answer.token === undefined)
      }
    }
    const placed = yield* Http.order(url, key, yield* Effect.fromNullable(cart))
    yield* claim(`the order itself, with the same key: ${placed.status}`, Option.isSome(orderOf(placed)))
    const errors = log.slice(before).filter((line) => /^first: .*\bERROR\b/.test(line))
    yield* claim(`the log has ${errors.length} errors: a client's mistake is none of the server`, errors.length === 0)
  })
