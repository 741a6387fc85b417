// What every answer gets, whoever made it.
import { HttpApp, HttpMiddleware, HttpServerError, HttpServerResponse } from "@effect/platform"
import { Cause, Effect, Option } from "effect"
import { Shutdown } from "./shutdown.js"

/** Sends clients elsewhere once the end of this instance has begun, and says when it is worth to ask again. */
const addHeaders = Effect.flatMap(
  Shutdown,
  ({ hasBegun }) =>
    HttpApp.appendPreResponseHandler((_, response) =>
      Effect.map(hasBegun, (isEnding) =>
        HttpServerResponse.setHeaders(response, {
          ...(isEnding ? { connection: "close" } : {}),
          ...(response.status === 503 ? { "retry-after": "1" } : {})
        }))
    )
)

const hasFailed = (cause: Cause.Cause<unknown>): boolean => !Cause.isInterruptedOnly(cause)

/** Defects are answered with 500. What they were is in the log only. */
export const everyAnswer = HttpMiddleware.make((app) =>
  Effect.zipRight(addHeaders, app).pipe(
    Effect.tapErrorCause((cause) =>
      // What was interrupted has not failed: its client is gone, or this instance ends.
      Option.match(Option.filter(HttpServerError.causeResponseStripped(cause)[1], hasFailed), {
        onNone: () => Effect.void,
        onSome: (cause) => Effect.logError("a request has failed", cause)
      })
    )
  )
)
