import { describe, expect, it } from "@effect/vitest"
import * as Equal from "effect/Equal"
import * as Metric from "effect/Metric"
import * as MetricKeyType from "effect/MetricKeyType"
import * as MetricLabel from "effect/MetricLabel"
import * as Option from "effect/Option"
import { readFileSync } from "node:fs"
import * as Telemetry from "../../src/Telemetry.js"

/** A metric, as its registry has it. */
interface Facts {
  readonly export: string
  readonly name: string
  readonly kind: string
  readonly unit: string
  readonly buckets: string
}

const kindOf = (type: MetricKeyType.MetricKeyType.Untyped): string =>
  MetricKeyType.isHistogramKey(type)
    ? "histogram"
    : MetricKeyType.isGaugeKey(type)
    ? "gauge"
    : MetricKeyType.isCounterKey(type) && type.incremental
    ? "counter"
    : "up-down counter"

const isMetric = (value: unknown): value is Metric.Metric<unknown, unknown, unknown> =>
  typeof value === "function" && Metric.MetricTypeId in value

const metrics: ReadonlyArray<Facts> = Object.entries(Telemetry).flatMap(([name, value]) => {
  if (!isMetric(value)) return []
  // The registry knows it, under a label of its own, as soon as its value is read.
  const label = MetricLabel.make("read by", name)
  value.unsafeValue([label])
  return Metric.unsafeSnapshot().flatMap(({ metricKey }) => {
    if (!metricKey.tags.some((tag) => Equal.equals(tag, label))) return []
    const { keyType } = metricKey
    expect(Option.isSome(metricKey.description), name).toBe(true)
    return [{
      export: name,
      name: metricKey.name,
      kind: kindOf(keyType),
      unit: metricKey.tags.find(({ key }) => key === "unit")?.value ?? "none",
      buckets: MetricKeyType.isHistogramKey(keyType)
        ? keyType.boundaries.values.filter(Number.isFinite).join(", ")
        : ""
    }]
  })
})

const page = readFileSync("docs/telemetry.md", "utf8")

/** The cells of the tables under a heading of the page, without the tables' heads. */
const rows = (heading: string): ReadonlyArray<ReadonlyArray<string>> => {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? ""
  return section.split("\n")
    .filter((line) => line.startsWith("| ") && !/^\| (Metric|Histogram|Span|Attribute|Event|Level) \|/.test(line))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim().replaceAll("`", "")))
}

const firsts = (table: ReadonlyArray<ReadonlyArray<string>>) => table.map(([first]) => first)

describe("the page on telemetry", () => {
  it("knows every metric, its name in the module, its kind and its unit, and no other", () => {
    expect(metrics.length).toBeGreaterThan(20)
    expect(
      rows("Metrics").filter((cells) => cells.length === 6).map(([name, own, kind, unit]) => [name, own, kind, unit])
        .sort()
    )
      .toEqual(metrics.map(({ export: own, kind, name, unit }) => [name, own, kind, unit]).sort())
  })

  it("knows the buckets of every histogram", () => {
    const named = new Map(
      rows("Metrics").filter((cells) => cells.length === 2).map(([name, buckets]) => [name, buckets])
    )
    for (const { buckets, kind, name } of metrics) {
      if (kind === "histogram") expect(named.get(name) ?? named.get("all others"), name).toBe(buckets)
    }
    expect([...named.keys()].filter((name) => !metrics.some((metric) => metric.name === name))).toEqual(["all others"])
  })

  it("knows every span, attribute and event, and no other", () => {
    const outcomes = ["committed", "rolledBack", "aborted", "doomed", "unknown"]
    const { attempt, label, reason, step, ...attributes } = Telemetry.attributes
    expect([...firsts(rows("Spans"))].sort()).toEqual(
      [
        ...["{operation} {database}.{collection}", "{command}", "{command} admin"],
        ...Object.values(Telemetry.spans),
        ...Object.values(attributes),
        ...outcomes,
        ...Object.values(Telemetry.events)
      ].sort()
    )
    const retry = rows("Spans").find(([name]) => name === Telemetry.events.retry)?.[2]
    for (const name of [attempt, label, reason, step]) expect(retry).toContain(name)
  })

  it("knows every message in the log, and no other", () => {
    expect(rows("Log messages").map(([, message]) => message).sort())
      .toEqual(Object.values(Telemetry.messages).sort())
  })
})

/** What Prometheus calls a metric that OpenTelemetry's exporter gives it. */
const inPrometheus = ({ kind, name, unit }: Facts): ReadonlyArray<string> => {
  const base = `${name.replaceAll(".", "_")}${unit === "s" ? "_seconds" : ""}`
  return kind === "histogram"
    ? ["_bucket", "_count", "_sum"].map((suffix) => base + suffix)
    : [kind === "counter" ? `${base}_total` : base]
}

describe("the dashboard", () => {
  interface Panel {
    readonly id: number
    readonly title: string
    readonly targets: ReadonlyArray<{ readonly refId: string; readonly expr: string }>
  }
  const { panels }: { readonly panels: ReadonlyArray<Panel> } = JSON.parse(
    readFileSync("examples/telemetry/dashboard.json", "utf8")
  )
  const expressions = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))

  it("has panels that can be told from each other", () => {
    expect(panels.length).toBeGreaterThan(10)
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length)
    for (const { targets } of panels) expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length)
  })

  it("asks for metrics that there are, and for each of them but one that says the same twice", () => {
    const known = new Map(metrics.flatMap((metric) => inPrometheus(metric).map((name) => [name, metric.name])))
    const asked = new Set(
      expressions.flatMap((expr) =>
        // What it groups by are labels.
        expr.replaceAll(/by \([^)]*\)/g, "").match(/\b(?:db_client|mongo_session)_[a-z_]+/g) ?? []
      )
    )
    expect([...asked].filter((name) => !known.has(name))).toEqual([])
    const shown = new Set([...asked].map((name) => known.get(name)))
    expect(metrics.map(({ name }) => name).filter((name) => !shown.has(name)))
      .toEqual(["db.client.connection.idle.min"])
  })

  it("has parentheses that match", () => {
    for (const expr of expressions) {
      expect(expr.split(/[([{]/).length, expr).toBe(expr.split(/[)\]}]/).length)
    }
  })
})
