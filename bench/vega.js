/**
 * Draws what it reads from its standard input, and prints the picture as a string of JSON.
 */
import { readFileSync } from "node:fs"
import * as vega from "vega"

const { subtitle, values } = JSON.parse(readFileSync(0, "utf8"))

const colours = { ours: "#0b6bcb", theirs: "#d9730d", noise: "#c8ccd1", goal: "#1a7f37", text: "#24292f" }

const rowHeight = 20

const panel = (name, title) => {
  const data = `of ${name}`
  const middle = (field) => ({ scale: `rows ${name}`, field, band: 0.5 })
  const rule = (from, to, encode) => ({
    type: "rule",
    from: { data },
    encode: {
      update: { x: { scale: "ratio", field: from }, x2: { scale: "ratio", field: to }, y: middle("row"), ...encode }
    }
  })
  const symbol = (field, from, encode) => ({
    type: "symbol",
    from: { data: from },
    encode: { update: { x: { scale: "ratio", field }, y: middle("row"), ...encode } }
  })
  const rows = values.filter((value) => value.panel === name)
  const height = rows.length * rowHeight
  return {
    data: [
      { name: data, values: rows },
      { name: `theirs ${name}`, values: rows.filter(({ theirs }) => theirs !== null) },
      { name: `goals ${name}`, values: rows.filter(({ goal }) => goal !== null) }
    ],
    scale: {
      name: `rows ${name}`,
      type: "band",
      range: [0, height],
      domain: rows.map(({ row }) => row)
    },
    group: {
      type: "group",
      title: { text: title, anchor: "start", frame: "group", fontSize: 12, color: colours.text, offset: 6 },
      encode: { update: { width: { signal: "width" }, height: { value: height } } },
      // The grid is as high as this says.
      signals: [{ name: "height", value: height }],
      axes: [
        { orient: "left", scale: `rows ${name}`, ticks: false, domain: false, labelLimit: 0, labelPadding: 8 },
        { orient: "bottom", scale: "ratio", grid: true, domain: false, values: ticks, format: "~g" }
      ],
      marks: [
        {
          type: "rule",
          encode: {
            update: {
              x: { scale: "ratio", value: 1 },
              y: { value: 0 },
              y2: { value: height },
              stroke: { value: colours.text }
            }
          }
        },
        rule("controlQ25", "controlQ75", { stroke: { value: colours.noise }, strokeWidth: { value: 12 } }),
        symbol("goal", `goals ${name}`, {
          shape: { value: "stroke" },
          angle: { value: 90 },
          size: { value: 160 },
          stroke: { value: colours.goal },
          strokeWidth: { value: 2 }
        }),
        rule("q25", "q75", { stroke: { value: colours.ours }, strokeWidth: { value: 3 } }),
        symbol("ratio", data, { size: { value: 60 }, fill: { value: colours.ours } }),
        symbol("theirs", `theirs ${name}`, {
          shape: { value: "diamond" },
          size: { value: 60 },
          fill: { value: colours.theirs }
        })
      ]
    }
  }
}

const ticks = [0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 6]

const panels = [
  panel("more", "Throughput as a multiple of the raw driver's: more is better"),
  panel("less", "Time as a multiple of the raw driver's: less is better")
]

const extent = values.flatMap((
  { controlQ25, controlQ75, goal, q25, q75, theirs }
) => [controlQ25, controlQ75, q25, q75, goal ?? 1, theirs ?? 1])

const spec = {
  width: 420,
  padding: 16,
  background: "white",
  title: {
    text: "Against the raw driver",
    subtitle,
    anchor: "start",
    frame: "bounds",
    color: colours.text,
    subtitleColor: "#57606a",
    subtitleFontSize: 11,
    offset: 16
  },
  layout: { columns: 1, padding: 24, bounds: "full", align: "each" },
  data: panels.flatMap(({ data }) => data),
  scales: [
    ...panels.map(({ scale }) => scale),
    {
      name: "ratio",
      type: "log",
      range: "width",
      domain: [Math.min(...extent) * 0.95, Math.max(...extent) * 1.05]
    },
    {
      name: "key",
      type: "ordinal",
      domain: ["this library, with quartiles", "effect-mongodb", "raw against raw: noise", "goal"],
      range: [colours.ours, colours.theirs, colours.noise, colours.goal]
    }
  ],
  legends: [{ fill: "key", labelLimit: 0, orient: "bottom", direction: "horizontal", symbolType: "square" }],
  marks: panels.map(({ group }) => group)
}

console.log(JSON.stringify(await new vega.View(vega.parse(spec), { renderer: "none" }).toSVG()))
