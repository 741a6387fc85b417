/**
 * Measures imports, each in a fresh process.
 */
import { competitor } from "./prepare.js"
import { printing, root } from "./processes.js"
import type { Arm, Figures } from "./rounds.js"

const arm = (name: string, folder: string, modules: ReadonlyArray<string>): Arm => {
  const program = `
    const cpu = process.cpuUsage()
    const started = performance.now()
    for (const name of ${JSON.stringify(modules)}) await import(name)
    const time = (performance.now() - started) * 1000
    const { system, user } = process.cpuUsage(cpu)
    console.log(JSON.stringify({ time, cpu: user + system }))`
  return { name, run: () => printing<Figures>(["--input-type=module", "--eval", program], folder).printed }
}

const against = (folder: string, library: string): ReadonlyArray<Arm> => [
  arm("raw", folder, ["effect", "mongodb"]),
  arm("control", folder, ["effect", "mongodb"]),
  arm("ours", folder, ["effect", "mongodb", library])
]

export const ours = against(root, new URL("../dist/index.js", import.meta.url).href)

export const effectMongodb = against(competitor, "effect-mongodb")
