/**
 * Sessions that are opened and closed, one after the other.
 */
import * as Effect from "effect/Effect"
import { Session } from "../library.js"
import { type Arms, bare, countdown, rawTwice } from "../scene.js"

export const openClose: Arms = (scene) =>
  Effect.succeed([
    ...rawTwice(async (times) => {
      const turns = countdown(times)
      while (turns.next()) await scene.driver.startSession().endSession()
    }),
    bare(scene, "bare", 1, () =>
      Effect.scoped(Effect.acquireRelease(
        Effect.sync(() => scene.driver.startSession()),
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
