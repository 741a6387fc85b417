/**
 * Sessions that are opened and closed, one after the other.
 */
import * as Effect from "effect/Effect"
import { Session } from "../library.js"
import { type Arms, countdown, rawTwice } from "../scene.js"

export const openClose: Arms = ({ driver, run }) =>
  Effect.succeed([
    ...rawTwice(async (times) => {
      const turns = countdown(times)
      while (turns.next()) await driver.startSession().endSession()
    }),
    {
      name: "ours",
      run: (times) =>
        run(Effect.whileLoop({
          while: countdown(times).next,
          body: () => Effect.scoped(Session.make()),
          step: () => undefined
        }))
    }
  ])
