// Checks that docs/specification.md agrees with the list of the specifications' requirements, and that the tests which the
// list names exist. `npm run docs:specification` writes the page.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { resolve } from "node:path"
import ts from "typescript"
import { find } from "../conformance/files.js"
import { specifications } from "../conformance/folder.js"
import { type Evidence, type Point, sections } from "../conformance/specification.js"
import { markdown } from "./table.js"

const page = "docs/specification.md"

/** The names of tests and of their groups in a file; what is put in by a variable is an ellipsis. */
const namesIn = (file: string): ReadonlySet<string> => {
  const names = new Set<string>()
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && /^(it|describe)\b/.test(node.expression.getText())) {
      const name = node.arguments[0] && nameOf(node.arguments[0])
      if (name !== undefined) names.add(name)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest, true))
  return names
}

const nameOf = (node: ts.Expression): string | undefined =>
  ts.isStringLiteralLike(node)
    ? node.text
    : ts.isTemplateExpression(node)
    ? [node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)].join("…")
    : undefined

const known = new Map<string, ReadonlySet<string>>()
const folder = specifications(process.cwd())
const files = folder === undefined ? undefined : find(folder).map(({ path }) => path)

const problemOf = (evidence: Evidence): string | undefined => {
  if ("conformance" in evidence) {
    // Where these are not at hand, nobody can tell.
    const isThere = files === undefined || files.some((path) => path.endsWith(`/${evidence.conformance}`))
    return isThere ? undefined : `MongoDB's tests have no file ${evidence.conformance}`
  }
  const file = `test/${evidence.file}`
  if (!existsSync(file)) return `there is no file ${file}`
  const names = known.get(file) ?? namesIn(file)
  known.set(file, names)
  return names.has(evidence.test) ? undefined : `${file} has no test "${evidence.test}"`
}

const shown = (evidence: Evidence): string =>
  "conformance" in evidence
    ? `MongoDB's \`${evidence.conformance}\``
    : `[${evidence.file.replace(/^.*\//, "").replace(/\.test\.ts$/, "")}](../test/${evidence.file}): ${evidence.test}`

const row = (
  { asks, met, note, shownBy }: Point
) => [asks, note === undefined ? met : `${met}: ${note}`, shownBy.map(shown).join("<br>")]

const points = sections.flatMap((section) => section.points)
const count = (met: Point["met"]): number => points.filter((point) => point.met === met).length

const text = [
  "# What the specifications ask for",
  "",
  "<!-- Written by `npm run docs:specification` from test/conformance/specification.ts, and checked with the tests. -->",
  "",
  "What [MongoDB's specifications](https://github.com/mongodb/specifications) ask of sessions and transactions, in our",
  "words: whether the driver meets it, or the library where the driver does not or not in all cases, and the tests that",
  `show it. Of ${points.length} points the driver meets ${count("driver")}, the library ${
    count("library")
  }, and nobody ` +
  `${count("nobody")}.`,
  "",
  "\"MongoDB's\" are the files of its own tests, which `npm run conformance` runs; where a part of them cannot pass, the",
  "[waivers](../test/conformance/waivers.ts) say why. What is said of the driver was seen on version 7.9.",
  ...sections.flatMap(({ points, title }) => [
    "",
    `## ${title}`,
    "",
    ...markdown(["What is asked for", "Met by", "Shown by"], points.map(row))
  ]),
  ""
].join("\n")

const problems = points.flatMap(({ asks, met, shownBy }) => [
  ...(met !== "nobody" && shownBy.length === 0 ? [`nothing shows "${asks}"`] : []),
  ...shownBy.flatMap((evidence) => problemOf(evidence) ?? [])
])
if (process.argv.includes("--write")) {
  mkdirSync(resolve(page, ".."), { recursive: true })
  writeFileSync(page, text)
} else if (!existsSync(page) || readFileSync(page, "utf8") !== text) {
  problems.push(`${page} says something else: npm run docs:specification`)
}

for (const problem of problems) console.error(problem)
console.log(`${points.length} points of specifications, ${problems.length} problems`)
process.exitCode = problems.length > 0 ? 1 : 0
