// Tables for tools: aligned text for a terminal, and Markdown.
type Row = ReadonlyArray<string>

/** Rows as lines whose cells stand below each other: the first `left` columns to the left, the others to the right. */
export const aligned = (rows: ReadonlyArray<Row>, left = 1): ReadonlyArray<string> => {
  const widths = rows.reduce<ReadonlyArray<number>>(
    (widest, row) => row.map((cell, column) => Math.max(widest[column] ?? 0, cell.length)),
    []
  )
  return rows.map((row) =>
    row
      .map((cell, column) => column < left ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))
      .join("  ")
      .trimEnd()
  )
}

/** Rows below their heads as a table of Markdown; the columns after the first `left` are aligned to the right. */
export const markdown = (heads: Row, rows: ReadonlyArray<Row>, left = heads.length): ReadonlyArray<string> =>
  [heads, heads.map((_, column) => column < left ? "---" : "--:"), ...rows].map(line)

const line = (cells: Row): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`
