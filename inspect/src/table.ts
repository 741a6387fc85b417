/**
 * Tables that fit the width of a terminal.
 */

/** A column: its title, and how it gives way where there is not enough room. */
export interface Column {
  readonly title: string
  readonly align?: "right"
  /** The width that it keeps. Default: it never gets narrower. */
  readonly least?: number
}

// East Asian wide characters and emoji take two cells.
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u
const none = /\p{M}/u

const widthOf = (character: string): number => none.test(character) ? 0 : wide.test(character) ? 2 : 1

/** How many cells of a terminal a text takes. */
export const width = (text: string): number => Array.from(text).reduce((sum, one) => sum + widthOf(one), 0)

/** The text, cut so that it takes no more cells. */
export const fit = (text: string, cells: number): string => {
  if (width(text) <= cells) return text
  let kept = ""
  let used = 0
  for (const one of text) {
    if (used + widthOf(one) > cells - 1) break
    kept += one
    used += widthOf(one)
  }
  return cells < 1 ? "" : `${kept}…`
}

const gap = "  "

/**
 * The lines of a table, the titles first. A column with nothing in it is left out. What is too wide is cut, the column first
 * that has most to give.
 */
export const table = (
  given: ReadonlyArray<Column>,
  body: ReadonlyArray<ReadonlyArray<string>>,
  cells: number
): ReadonlyArray<string> => {
  const used = given.map((_, index) => body.some((row) => (row[index] ?? "") !== ""))
  const columns = given.filter((_, index) => used[index])
  const rows = body.map((row) => row.filter((_, index) => used[index]))
  const all = [columns.map(({ title }) => title), ...rows]
  const widths = columns.map((_, index) => Math.max(...all.map((row) => width(row[index] ?? ""))))
  const least = columns.map(({ least }, index) => Math.min(least ?? Infinity, widths[index] ?? 0))
  const total = () => widths.reduce((sum, one) => sum + one, 0) + gap.length * (columns.length - 1)
  for (let over = total() - cells; over > 0; over = total() - cells) {
    const slack = widths.map((one, index) => one - (least[index] ?? 0))
    const index = slack.indexOf(Math.max(...slack))
    if ((slack[index] ?? 0) <= 0) break
    widths[index] = (widths[index] ?? 0) - 1
  }
  return all.map((row) =>
    fit(
      columns.map(({ align }, index) => {
        const text = fit(row[index] ?? "", widths[index] ?? 0)
        const room = " ".repeat(Math.max(0, (widths[index] ?? 0) - width(text)))
        return align === "right" ? room + text : text + room
      }).join(gap).trimEnd(),
      cells
    )
  )
}
