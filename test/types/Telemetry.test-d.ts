import type * as Metric from "effect/Metric"
import { expectTypeOf } from "vitest"
import * as Telemetry from "../../src/Telemetry.js"

// metrics that anybody may read

expectTypeOf(Telemetry.sessionsOpen).toEqualTypeOf<Metric.Metric.Gauge<number>>()
expectTypeOf(Telemetry.sessionsRefreshed).toEqualTypeOf<Metric.Metric.Counter<number>>()
expectTypeOf(Telemetry.refreshFailures).toEqualTypeOf<Metric.Metric.Counter<number>>()
expectTypeOf(Telemetry.sessionsLapsed).toEqualTypeOf<Metric.Metric.Counter<number>>()
expectTypeOf(Telemetry.sessionsLeaked).toEqualTypeOf<Metric.Metric.Counter<number>>()
expectTypeOf(Telemetry.operationsUnsettled).toEqualTypeOf<Metric.Metric.Counter<number>>()
expectTypeOf(Telemetry.laneWait).toEqualTypeOf<Metric.Metric.Histogram<number>>()
expectTypeOf(Telemetry.transactionDuration).toEqualTypeOf<Metric.Metric.Histogram<number>>()
expectTypeOf(Telemetry.operationDuration).toEqualTypeOf<Metric.Metric.Histogram<number>>()
expectTypeOf(Telemetry.connectionCount).toEqualTypeOf<Metric.Metric.Counter<number>>()

// names that a type may be made of

expectTypeOf(Telemetry.attributes.errorType).toEqualTypeOf<"error.type">()
expectTypeOf(Telemetry.events.retry).toEqualTypeOf<"retry">()
expectTypeOf(Telemetry.spans.transaction).toEqualTypeOf<"transaction">()
expectTypeOf(Telemetry.messages.leaked).toEqualTypeOf<"sessions were still open when their client closed">()
