/**
 * Keeps idle sessions alive. The driver cannot, so its arm sends a ping in each session.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { inner, Session } from "../library.js"
import type { Arm } from "../rounds.js"
import { type Arms, rawTwice } from "../scene.js"

const sessions = 10_000
const atOnce = 50

/** No refresh but those that are measured; and for them every session is due. */
export const options = { keepAlive: { schedule: Schedule.stop, idleFor: 1 } }

export const keepAlive: Arms = (scene) =>
  Effect.gen(function*() {
    yield* Effect.forEach(Array.from({ length: sessions }), () => Session.make())
    const { client, drivers, run } = scene
    const arms: ReadonlyArray<Arm> = [
      ...rawTwice(scene, (driver) => {
        const opened = Array.from({ length: sessions }, () => driver.startSession())
        const admin = driver.db("admin")
        return async () => {
          const left = opened.values()
          await Promise.all(Array.from({ length: atOnce }, async () => {
            for (const session of left) await admin.command({ ping: 1 }, { session })
          }))
        }
      }),
      {
        name: "ours",
        run: async () => {
          const { refreshed } = await run(client[inner].keeper.round)
          if (refreshed !== sessions) throw new Error(`refreshed ${refreshed} sessions, not ${sessions}`)
        }
      }
    ]
    // Each command checks a connection out; counting that costs nothing, where telling of each command does.
    let commands = 0
    for (const driver of [client.driver, drivers.raw, drivers.control]) {
      driver.on("connectionCheckedOut", () => commands++)
    }
    return arms.map(({ name, run }): Arm => ({
      name,
      run: async (times) => {
        commands = 0
        await run(times)
        return { commands }
      }
    }))
  })
