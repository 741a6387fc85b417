// `tsx test/tools/forge.ts`, where a forge releases the package: writes into package.json and the README where they are kept,
// which only the forge knows. npm shows the README by itself, so that its links have to lead there.
import { readFileSync, writeFileSync } from "node:fs"
import { type Forge, forgeOf, linked, manifestOf } from "./published.js"

const rewrite = (path: string, change: (text: string) => string) =>
  writeFileSync(path, change(readFileSync(path, "utf8")))

const forge: Forge | undefined = forgeOf(process.env)
if (forge === undefined) {
  console.error(
    "GITHUB_SERVER_URL, GITHUB_REPOSITORY and GITHUB_REF_NAME say where the package is kept; one is missing."
  )
  process.exitCode = 1
} else {
  rewrite("package.json", (text) => JSON.stringify({ ...JSON.parse(text), ...manifestOf(forge) }, null, 2) + "\n")
  rewrite("README.md", (text) => linked(text, forge))
}
