// The bodies that this server takes: JSON, and so short that it can hold those of all who ask at once.
import { HttpServerRequest } from "@effect/platform"
import { Effect, Schema } from "effect"
import { BodyMalformed, ContentTooLarge, LengthRequired, UnsupportedMediaType } from "./errors.js"

/** In bytes. A cart has some hundred. */
const largest = 64 * 1024

/** How deep it may be nested. Schemas, and the messages of their errors, go down into a value by recursion. */
const deepest = 16

const isDeeper = (value: unknown, depth: number): boolean =>
  typeof value === "object" && value !== null &&
  (depth === 0 || Object.values(value).some((part) => isDeeper(part, depth - 1)))

/** Why a body is not taken. */
export const BodyRefused = Schema.Union(BodyMalformed, LengthRequired, ContentTooLarge, UnsupportedMediaType)

/**
 * The body of the request, as text that is JSON.
 *
 * What is of another type or too long is refused before it is read. So the length has to be told: of a body that turns out to be
 * too long while it is read, the connection would be cut, and the client, who gets no answer, would send it again.
 */
export const body = Effect.gen(function*() {
  const { headers, json, text } = yield* HttpServerRequest.HttpServerRequest
  const [type = ""] = (headers["content-type"] ?? "application/json").split(";")
  if (type.trim().toLowerCase() !== "application/json") {
    return yield* new UnsupportedMediaType({ hint: "Send JSON, with the header Content-Type: application/json." })
  }
  if (headers["transfer-encoding"] !== undefined) {
    return yield* new LengthRequired({ hint: "Send the body as a whole, with the header Content-Length." })
  }
  if (Number(headers["content-length"] ?? 0) > largest) {
    return yield* new ContentTooLarge({ hint: `Send at most ${largest} bytes.` })
  }
  const malformed = () =>
    new BodyMalformed({ hint: `Send the whole body, a JSON text at most ${deepest} levels deep.` })
  const value = yield* Effect.mapError(json, malformed)
  return yield* isDeeper(value, deepest) ? malformed() : Effect.mapError(text, malformed)
})
