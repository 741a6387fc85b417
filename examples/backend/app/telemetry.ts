// Spans, metrics and logs by OTLP, of the library's operations too. On where OTEL_EXPORTER_OTLP_ENDPOINT names a collector.
import * as Otlp from "@effect/opentelemetry/Otlp"
import { FetchHttpClient } from "@effect/platform"
import { Config, Effect, Layer, Option } from "effect"

export const TelemetryLive = Layer.unwrapEffect(Effect.gen(function*() {
  const endpoint = yield* Config.option(Config.string("OTEL_EXPORTER_OTLP_ENDPOINT"))
  const serviceName = yield* Config.withDefault(Config.string("OTEL_SERVICE_NAME"), "shop")
  return Option.match(endpoint, {
    onNone: () => Layer.empty,
    onSome: (baseUrl) => Layer.provide(Otlp.layerJson({ baseUrl, resource: { serviceName } }), FetchHttpClient.layer)
  })
}))
