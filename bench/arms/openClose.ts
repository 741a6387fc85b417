/**
 * Opens and closes sessions, one after the other.
 */
import * as Effect from "effect/Effect"
import { Session } from "../library.js"
import { type Arms, bare, countdown, rawTwice } from "../scene.js"

export const openClose: Arms = (scene) =>
  Effect.succeed([
    ...rawTwice(scene, (driver) => async (times) => {
      const turns = countdown(times)
      while (turns.next()) await driver.startSession().endSession()
    }),
    bare(scene, "bare", 1, (driver) => () =>
      Effect.scoped(Effect.acquireRelease(
        Effect.sync(() => driver.startSession()),
        (session) => Effect.promise(() => session.endSession())
      ))),
    {
      name: "ours",
      run: (times) =>
        scene.run(Effect.whileLoop({
          while: countdown(times).next,
          body: () => Effect.scoped(Session.make()),
          step: () => undefined
        }))
    }
  ])
