// What the README tells a new user to do, read out of it, in the order of the README.
import { copyFileSync, writeFileSync } from "node:fs"
import { delimiter, join } from "node:path"
import { cache } from "../tools/ends/end.js"
import { programsOf } from "../tools/pages.js"
import { run } from "./commands.js"
import type { Command } from "./managers.js"

export interface Step {
  readonly name: string
  /** Resolves to what went wrong, or to undefined. */
  readonly run: () => Promise<string | undefined>
}

export interface Start {
  readonly readme: string
  readonly tarball: string
  /** An empty folder. */
  readonly folder: string
  readonly command: Command
}

/** The lines of the block below the heading "Install". */
export const installLines = (readme: string): ReadonlyArray<string> =>
  (/^## Install\n[\s\S]*?^```sh\n([\s\S]*?)^```/m.exec(readme)?.[1] ?? "").split("\n").filter((line) => line !== "")

/** An install line as it is typed with another package manager, with the tarball for the package's name. */
export const typed = (line: string, { add }: Command, tarball: string): string =>
  line.replace(/\bnpm i\b/, add).replace(/(?<= )effect-mongo-session\b/, tarball)

// Strict, and the declarations of all packages are checked, too.
const compilerOptions = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--target", "es2022"]
  .concat("--module", "nodenext", "--types", "node")

export const stepsOf = ({ command, folder, readme, tarball }: Start): ReadonlyArray<Step> => {
  const env = {
    PATH: [...command.path, process.env["PATH"]].join(delimiter),
    // The test server of the project does for all.
    EFFECT_MONGO_SESSION_CACHE: cache
  }
  const shell = async (line: string) => (await run("sh", ["-c", line], folder, env)).problem
  const programs = programsOf("README.md", readme).map(({ code, origin }, index) => ({
    code,
    origin,
    file: `program-${index}.ts`
  }))
  const isRun = ({ code }: { readonly code: string }) => code.includes("Effect.runPromise(")
  // The last one: the driver's way comes before.
  const exporting = (name: string) =>
    programs.findLast(({ code }) => code.includes(`export const ${name} = `))?.file ?? name
  const lines = installLines(readme)
  return [
    ...lines.map((line): Step => ({
      name: typed(line, command, "effect-mongo-session"),
      run: () => shell(typed(line, command, tarball))
    })),
    {
      name: `${programs.length} programs are copied and type-checked`,
      run: async () => {
        for (const { code, file } of programs) writeFileSync(join(folder, file), code)
        copyFileSync(join(import.meta.dirname, "walk.ts"), join(folder, "walk.ts"))
        if (lines.length === 0 || programs.length === 0) return "the README has no install lines, or no programs"
        const files = [...programs.map(({ file }) => file), "walk.ts"]
        return await shell(["node_modules/.bin/tsc", ...compilerOptions, ...files].join(" "))
      }
    },
    ...programs.filter(isRun).map(({ file, origin }): Step => ({
      name: `the program of ${origin} runs`,
      run: () => shell(`node_modules/.bin/tsx ${file}`)
    })),
    {
      name: "what the other programs export does what the README says",
      run: () => shell(`node_modules/.bin/tsx walk.ts ${exporting("checkout")} ${exporting("main")}`)
    }
  ]
}
