/**
 * Measures one group in a process of its own, as its argument says (JSON), and prints what it found.
 */
import * as Effect from "effect/Effect"
import { arms, options } from "./arms/index.js"
import type { Job } from "./measure.js"
import { endWithParent } from "./parent.js"
import { measure } from "./rounds.js"
import { withArms } from "./scene.js"

endWithParent()

// To look up lines in compiled files would cost wherever an error is made.
process.setSourceMapsEnabled(false)

const job: Job = JSON.parse(process.argv[2] ?? "")

const program = withArms(
  job.url,
  options[job.group] ?? {},
  arms[job.group],
  (made) => measure(made.filter(({ name }) => job.arms.includes(name)), job.size)
)

console.log(JSON.stringify(await Effect.runPromise(program)))
