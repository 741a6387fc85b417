/**
 * Measures one group in a process of its own, as its argument says (JSON), and prints what it found.
 */
import { withChosen } from "./arms/index.js"
import { receive } from "./job.js"
import { measure } from "./rounds.js"

const job = receive()

console.log(JSON.stringify(await withChosen(job, (arms) => measure(arms, job.size))))
