/**
 * A program in a pseudo terminal, and the text of its screen.
 */
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import { start } from "../../tools/child.js"

/** Whether this machine can make pseudo terminals. */
export const hasTerminals = (process.env["PATH"] ?? "").split(delimiter).some((folder) =>
  existsSync(join(folder, "script"))
)

/** A program that runs in a terminal. */
export interface Terminal {
  /** All that it has written so far. */
  readonly written: () => string
  /** Waits until what it has written passes. */
  readonly until: (isThere: (written: string) => boolean) => Promise<void>
  readonly type: (keys: string) => void
  /** Its exit code, when it has ended. */
  readonly ended: Promise<number | null>
}

/** Runs Node.js in a terminal of this size. */
export const run = (
  args: ReadonlyArray<string>,
  { columns, env = {}, rows }: { readonly columns: number; readonly rows: number; readonly env?: NodeJS.ProcessEnv }
): Terminal => {
  const words = [process.execPath, ...args].map((word) => `'${word}'`).join(" ")
  const { child, ended } = start(
    "script",
    ["--quiet", "--flush", "--return", "--command", `stty cols ${columns} rows ${rows}; exec ${words}`, "/dev/null"],
    { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, TERM: "xterm", ...env } }
  )
  let written = ""
  let wake = () => {}
  child.stdout?.on("data", (data) => {
    written += String(data)
    wake()
  })
  return {
    written: () => written,
    until: async (isThere) => {
      while (!isThere(written)) {
        const isOver = await Promise.race([
          new Promise<false>((resolve) => wake = () => resolve(false)),
          ended.then(() => true)
        ])
        if (isOver && !isThere(written)) throw new Error(`it has ended: ${JSON.stringify(written.slice(-2000))}`)
      }
    },
    type: (keys) => void child.stdin?.write(keys),
    ended: ended.then(() => child.exitCode)
  }
}

/**
 * What a terminal shows that has got this: moves of the cursor to the upper left corner, what erases the rest of a line or of
 * the screen, and colours. Anything else is refused.
 */
export const screenOf = (written: string, columns: number, rows: number): ReadonlyArray<string> => {
  const blank = () => Array.from({ length: rows }, () => Array.from({ length: columns }, () => " "))
  let cells = blank()
  let [row, column] = [0, 0]
  // eslint-disable-next-line no-control-regex -- the codes that a terminal gets
  for (const [part, code] of written.matchAll(/\u001b\[([^A-Za-z]*[A-Za-z])|[^]/gu)) {
    if (code === undefined) {
      if (part === "\r") column = 0
      else if (part === "\n") row++
      else {
        const line = cells[row]
        if (line === undefined || column >= columns) throw new Error(`outside of the screen: ${row}, ${column}`)
        line[column++] = part
      }
    } else if (code === "H") [row, column] = [0, 0]
    else if (code === "K") cells[row]?.fill(" ", column)
    else if (code === "J") {
      cells[row]?.fill(" ", column)
      for (const line of cells.slice(row + 1)) line.fill(" ")
    } else if (code === "2J" || code === "?1049h") cells = blank()
    else if (!/^(\?25[hl]|\?1049l|[\d;]*m)$/.test(code)) throw new Error(`unknown code ${JSON.stringify(part)}`)
  }
  return cells.map((line) => line.join("").trimEnd())
}
