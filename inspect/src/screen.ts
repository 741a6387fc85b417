/**
 * Where the lines go: redrawn in place on a terminal, plain lines elsewhere.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Output, type Unwritable, write } from "./output.js"
import type { Line, Room } from "./render.js"

/** Shows pictures, one after the other. */
export interface Screen {
  readonly room: Effect.Effect<Room>
  readonly show: (lines: ReadonlyArray<Line>) => Effect.Effect<void, Unwritable>
}

const escape = "\u001b["
const codes: Readonly<Record<Line["tone"], string>> = {
  title: "1",
  head: "1;36",
  plain: "",
  warn: "33",
  bad: "31",
  dim: "2"
}

const painted = ({ text, tone }: Line, inColour: boolean): string =>
  inColour && codes[tone] !== "" && text !== "" ? `${escape}${codes[tone]}m${text}${escape}0m` : text

/** Whether there are to be colours, see https://no-color.org. */
export const hasColour = (output: Output, environment: Readonly<Record<string, string | undefined>>): boolean =>
  output.isTTY === true && (environment["NO_COLOR"] ?? "") === "" && environment["TERM"] !== "dumb"

const roomOf = ({ columns }: Output): Room => ({ columns: columns !== undefined && columns > 0 ? columns : 80 })

/** Writes pictures one below the other. What is no terminal has the width of 160 characters. */
export const plain = (output: Output, inColour: boolean): Screen => ({
  room: Effect.sync(() => output.isTTY === true ? roomOf(output) : { columns: 160 }),
  show: (lines) => write(output, lines.map((line) => `${painted(line, inColour)}\n`).join(""))
})

/** Draws pictures in place, in the terminal's other screen. The scope gives the terminal back as it was. */
export const live = (output: Output, inColour: boolean): Effect.Effect<Screen, never, Scope.Scope> => {
  // What gives a terminal back waits for nobody: the terminal may be gone.
  const send = (text: string) => Effect.sync(() => void output.write(text, () => undefined))
  return Effect.as(
    Effect.acquireRelease(
      send(`${escape}?1049h${escape}?25l${escape}2J`),
      () => send(`${escape}?25h${escape}?1049l`)
    ),
    {
      room: Effect.sync(() => ({
        ...roomOf(output),
        rows: output.rows !== undefined && output.rows > 0 ? output.rows : 24
      })),
      // No line end after the last line: it would scroll.
      show: (lines) =>
        write(
          output,
          `${escape}H${lines.map((line) => `${painted(line, inColour)}${escape}K`).join("\r\n")}${escape}J`
        )
    }
  )
}
