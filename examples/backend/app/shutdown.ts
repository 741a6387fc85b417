// The end of an instance, without anybody noticing: it takes no more connections, finishes what is in flight, and tells those
// that hold a connection to go elsewhere. The database is let go after that.
import { Deferred, Effect, Layer } from "effect"
import { createServer, type ServerResponse } from "node:http"

/** How long requests in flight have. It is more than a transaction may take. */
const patience = "15 seconds"

/** How long the reader of a stream has, which ends by itself then. */
const patienceWithReaders = "1 second"

export class Shutdown extends Effect.Service<Shutdown>()("backend/Shutdown", {
  effect: Effect.map(Deferred.make<void>(), (began) => ({
    server: createServer(),
    /** Waits for it. */
    began: Deferred.await(began),
    hasBegun: Deferred.isDone(began),
    begin: Deferred.succeed(began, undefined),
    /** Cuts a stream off whose reader is asleep: it would keep this instance from ending. */
    cutOff: (response: ServerResponse) =>
      Deferred.await(began).pipe(
        Effect.zipRight(Effect.sleep(patienceWithReaders)),
        Effect.zipRight(Effect.sync(() => response.destroy()))
      )
  }))
}) {}

/** Built on top of all that answers requests, so that it is the first thing to be torn down. */
export const FinishRequests = Layer.scopedDiscard(Effect.gen(function*() {
  const { begin, server } = yield* Shutdown
  const closed = Effect.async<void>((resume) => {
    server.close(() => resume(Effect.void))
  })
  // One that was in use a moment ago may be idle now.
  const closeIdle = Effect.forever(Effect.delay(Effect.sync(() => server.closeIdleConnections()), "20 millis"))
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      yield* begin
      yield* Effect.log("shutting down: requests in flight are finished")
      const finished = yield* Effect.interruptible(Effect.raceFirst(closed, closeIdle)).pipe(
        Effect.timeoutOption(patience)
      )
      yield* finished._tag === "Some"
        ? Effect.log("all requests are answered")
        : Effect.logWarning("requests were still in flight")
    })
  )
}))
