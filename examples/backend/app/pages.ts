// What is for people, and not for programs: the page, its events, and whether this instance takes requests.
import { HttpApiBuilder, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServerRequest } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { fileURLToPath } from "node:url"
import { Live } from "./live.js"
import { Shutdown } from "./shutdown.js"

const file = (name: string) =>
  HttpServerResponse.file(fileURLToPath(new URL(`../public/${name}`, import.meta.url)), {
    headers: {
      // Whatever a product is called: only this server's own script is run.
      "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      "x-content-type-options": "nosniff"
    }
  })

export const PagesLive = HttpApiBuilder.Router.use((router) =>
  Effect.gen(function*() {
    const live = yield* Live
    const { cutOff, hasBegun } = yield* Shutdown
    yield* router.get("/", file("page.html"))
    for (const name of ["page.css", "page.js", "icon.svg"] as const) yield* router.get(`/${name}`, file(name))
    yield* router.get(
      "/live",
      Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        yield* Effect.forkScoped(cutOff(NodeHttpServerRequest.toServerResponse(request)))
        return HttpServerResponse.stream(live.events, {
          contentType: "text/event-stream",
          headers: { "cache-control": "no-store" }
        })
      })
    )
    yield* router.get(
      "/health",
      Effect.map(hasBegun, (hasBegun) => HttpServerResponse.empty({ status: hasBegun ? 503 : 204 }))
    )
  })
).pipe(Layer.provide(Live.Default))
