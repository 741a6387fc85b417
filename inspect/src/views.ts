/**
 * How a look is told: as a picture, or as JSON.
 */
import * as Effect from "effect/Effect"
import type { Snapshot } from "./model.js"
import { type Output, type Unwritable, write } from "./output.js"
import { type Line, render, type Room } from "./render.js"
import type { Screen } from "./screen.js"
import { fit } from "./table.js"

/** A look that had no answer: when, by the clock of this machine, and what has gone wrong. */
export interface Unanswered {
  readonly at: string
  readonly error: string
}

/** Where looks are told, one after the other. */
export interface View {
  readonly seen: (snapshot: Snapshot) => Effect.Effect<void, Unwritable>
  /** What was seen before stays in sight. */
  readonly unanswered: (look: Unanswered, before: Snapshot) => Effect.Effect<void, Unwritable>
}

/** Each look as one line of JSON. */
export const asJson = (output: Output): View => {
  const told = (look: Snapshot | Unanswered) => write(output, `${JSON.stringify(look)}\n`)
  return { seen: told, unanswered: told }
}

/** Each look as a picture. */
export const asPicture = ({ room, show }: Screen): View => ({
  seen: (snapshot) => Effect.flatMap(room, (room) => show(render(snapshot, room))),
  unanswered: (look, before) => Effect.flatMap(room, (room) => show(overlaid(look, before, room)))
})

const overlaid = ({ at, error }: Unanswered, before: Snapshot, room: Room): ReadonlyArray<Line> => [
  { text: fit(`${at.slice(0, 19)}Z  no answer: ${error}`, room.columns), tone: "bad" },
  ...render(before, { ...room, ...(room.rows !== undefined && { rows: room.rows - 1 }) })
]
