// README.md and docs/*.md: their programs compile, their links lead somewhere, and they are short and complete.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"

/** A page, by its path. */
export type Pages = ReadonlyMap<string, string>

/** A program of a page. */
export interface PageProgram {
  readonly code: string
  readonly origin: string
}

const fenced = /^```(\w*)\n([\s\S]*?)^```$/gm

/** The pages, as they are on the disk. */
export const readPages = (): Pages =>
  new Map(
    [
      "README.md",
      "CONTRIBUTING.md",
      ...readdirSync("docs").filter((file) => file.endsWith(".md")).map((file) => `docs/${file}`)
    ]
      .map((path) => [path, readFileSync(path, "utf8")])
  )

/**
 * The programs of a page. A block with an import starts a program; one without, or with `// continued` as its first line,
 * continues the one before. A block that shows a part of an example (`// from:`) compiles there.
 */
export const programsOf = (path: string, text: string): ReadonlyArray<PageProgram> => {
  const programs: Array<PageProgram> = []
  for (const { 1: language, 2: code = "", index } of text.matchAll(fenced)) {
    if (language !== "ts" || code.startsWith("// from: ")) continue
    const origin = `${path}:${text.slice(0, index).split("\n").length + 1}`
    const before = programs.at(-1)
    const isNew = before === undefined || (/^import /m.test(code) && !code.startsWith("// continued\n"))
    if (isNew) programs.push({ code, origin })
    else programs[programs.length - 1] = { code: `${before.code}\n${code}`, origin: before.origin }
  }
  return programs
}

const prose = (text: string) => text.replace(fenced, "")

/** The anchors that a forge makes of a page's headings. */
export const anchorsOf = (text: string): ReadonlySet<string> =>
  new Set(
    [...prose(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
      heading.toLowerCase().replace(/[^\w\- ]/g, "").replaceAll(" ", "-")
    )
  )

/** The links of a page that lead to files. */
export const linksOf = (text: string): ReadonlyArray<string> =>
  [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link).filter((link) => !/^https?:/.test(link))

const targetOf = (path: string, link: string) => {
  const [file = "", anchor] = link.split("#")
  return { file: file === "" ? path : normalize(join(dirname(path), file)), anchor }
}

/** Links that lead nowhere. */
export const deadLinks = (pages: Pages): ReadonlyArray<string> =>
  [...pages].flatMap(([path, text]) =>
    linksOf(text).flatMap((link) => {
      const { anchor, file } = targetOf(path, link)
      if (!existsSync(file)) return [`${path}: there is no ${file}`]
      const target = pages.get(file)
      return anchor === undefined || target === undefined || anchorsOf(target).has(anchor)
        ? []
        : [`${path}: ${file} has no section #${anchor}`]
    })
  )

/** Pages that nobody finds who starts at the README. */
export const unreachable = (pages: Pages): ReadonlyArray<string> => {
  const found = new Set(["README.md"])
  for (const path of found) {
    for (const link of linksOf(pages.get(path) ?? "")) {
      const { file } = targetOf(path, link)
      if (pages.has(file)) found.add(file)
    }
  }
  return [...pages.keys()].filter((path) => !found.has(path)).map((path) =>
    `${path}: no link leads from the README to it`
  )
}

/** Pages, and sentences of the README, that are too long. */
export const tooLong = (pages: Pages): ReadonlyArray<string> => [
  ...[...pages].flatMap(([path, text]) => {
    const limit = path === "README.md" ? 220 : 250
    const lines = text.trimEnd().split("\n").length
    return lines > limit ? [`${path}: ${lines} lines, ${limit} at most`] : []
  }),
  ...sentences(pages.get("README.md") ?? "")
    .filter((sentence) => sentence.split(/\s+/).length > 30)
    .map((sentence) => `README.md: more than 30 words: ${sentence}`)
]

const sentences = (text: string) =>
  prose(text).split("\n").filter((line) => !/^[|#!]/.test(line)).join("\n")
    .split(/\n\n|\n- |(?<=[.!?:])\s/)
    .map((sentence) => sentence.replace(/\]\([^)]*\)/g, "").trim())

/** What a page has to name, in backticks, and does not. */
export const unnamed = (path: string, text: string, names: Iterable<string>): ReadonlyArray<string> =>
  [...names].filter((name) => !new RegExp(`\`(\\w+\\.)?${name}\``).test(text)).map((name) =>
    `${path}: \`${name}\` is missing`
  )

/** Claims of the README in a table of claims, tests and their names: those that it does not make, or that no such test shows. */
export const unproved = (pages: Pages, table: string, testOf: (path: string) => string): ReadonlyArray<string> => {
  const plain = (text: string) => text.replace(/\*\*/g, "").replace(/\s+/g, " ")
  const readme = plain(pages.get("README.md") ?? "")
  const rows = [...(pages.get(table) ?? "").matchAll(/^\| (.+) \| \[[^\]]+\]\((\S+)\) \| (.+) \|$/gm)]
  return rows.length === 0
    ? [`${table}: there is no table of claims`]
    : rows.flatMap(([, claim = "", link = "", name = ""]) => [
      ...(readme.includes(plain(claim)) ? [] : [`${table}: the README does not say: ${claim}`]),
      ...(testOf(targetOf(table, link).file).includes(name) ? [] : [`${table}: ${link} has no test: ${name}`])
    ])
}

/** Whether one of the examples is code that uses a name, beyond its imports and comments. A module's default has none of its own. */
export const isUsed = (name: string, examples: ReadonlyArray<string>): boolean =>
  examples.some((example) =>
    [...example.matchAll(/^```ts\n([\s\S]*?)^```/gm)].some(([, code = ""]) =>
      name === "default" || new RegExp(`\\b${name}\\b`).test(code.replace(/^\s*(\/\/|import\b).*$/gm, ""))
    )
  )
