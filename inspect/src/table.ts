/**
 * Tables that fit the width of a terminal.
 */
import { eastAsianWidth } from "get-east-asian-width"

/** A column: its title, and how it gives way where there is not enough room. */
export interface Column {
  readonly title: string
  readonly align?: "right"
  /** The width that it keeps. Default: it never gets narrower. */
  readonly least?: number
}

// A mark is drawn over the character before it. One asks for an emoji, which is wide where that character is narrow else.
const mark = /[\p{Mn}\p{Me}]/u
const emojiStyle = "\ufe0f"

// Terminals differ in what they join to one character. Each part counts, so that no line is wider than it counts for.
const widthOf = (character: string): number =>
  character === emojiStyle ? 1 : mark.test(character) ? 0 : eastAsianWidth(character.codePointAt(0) ?? 0)

// Languages put a few marks on a character. More of them would cover the lines above and below.
const unpiled = (text: string): string => text.replace(/([\p{Mn}\p{Me}]{4})[\p{Mn}\p{Me}]+/gu, "$1")

/** How many cells of a terminal a text takes. */
export const width = (text: string): number => Array.from(text).reduce((sum, one) => sum + widthOf(one), 0)

/** The text, cut so that it takes no more cells, and with no more marks on a character than languages have. */
export const fit = (given: string, cells: number): string => {
  const text = unpiled(given)
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
