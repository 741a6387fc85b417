// Makes llms.txt of what pages, modules and examples say first about themselves; without `--write`, sees that it is fresh.
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { firstParagraph, moduleSentence } from "./opening.js"
import { singles } from "./programs.js"

const { description, name } = JSON.parse(readFileSync("package.json", "utf8")) as Record<string, string>
const read = (path: string) => readFileSync(path, "utf8")

const item = (path: string, title: string, text: string) => `- [${title}](${path})${text === "" ? "" : `: ${text}`}`

const pages = readdirSync("docs").filter((file) => file.endsWith(".md")).sort().map((file) => {
  const path = `docs/${file}`
  const text = read(path)
  return item(path, /^# (.+)$/m.exec(text)?.[1] ?? file, firstParagraph(text))
})

const modulesIn = (folder: string, prefix: string) =>
  readdirSync(folder).filter((file) => file.endsWith(".ts") && file !== "index.ts").sort().map((file) => {
    const path = `${folder}/${file}`
    return item(path, `${name}/${prefix}${file.replace(/\.ts$/, "")}`, moduleSentence(read(path)))
  })

const examples = singles().map((path) => {
  const [first = ""] = read(path).split("\nimport ", 1)
  return item(path, path.replace(/^examples\//, ""), first.replaceAll(/^\/\/ ?/gm, "").replaceAll("\n", " ").trim())
})

const text = `# ${name}

> ${description}. For Effect 3, the driver mongodb 6.13 or newer, and Node.js 20.19 or newer.

Install with \`npm i ${name} effect@3 mongodb@7\`. Effect 4 is not supported. Open one session for each request or job, by
\`Session.scoped\`. A transaction is \`effect.pipe(Transaction.run())\`; its body may run several times.

## Pages

${pages.join("\n")}

## Modules

${[...modulesIn("src", ""), ...modulesIn("src/testing", "testing/")].join("\n")}

## Examples

${examples.join("\n")}
`

if (process.argv.includes("--write")) writeFileSync("llms.txt", text)
else {
  const isFresh = readFileSync("llms.txt", "utf8") === text
  console.log(isFresh ? "llms.txt is fresh" : "llms.txt is not what the sources say: npm run docs:llms")
  process.exitCode = isFresh ? 0 : 1
}
