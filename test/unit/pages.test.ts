/** What holds README.md and docs/ to their rules. */
import { describe, expect, it } from "vitest"
import * as Pages from "../tools/pages.js"

const block = (code: string) => `\`\`\`ts\n${code}\n\`\`\`\n`

describe("pages", () => {
  it("a block with an import starts a program, others continue it", () => {
    const text = [
      block("import a from \"a\""),
      block("a()"),
      block("// continued\nimport b from \"b\""),
      block("import c from \"c\"")
    ]
    expect(Pages.programsOf("p.md", text.join("\n")).map(({ code }) => code.match(/import \w/g))).toEqual([
      ["import a", "import b"],
      ["import c"]
    ])
  })

  it("a part of an example compiles in the example", () => {
    expect(Pages.programsOf("p.md", block("// from: examples/x.ts\nx()"))).toEqual([])
  })

  it("a link to a file or a section that is not there is told", () => {
    const pages = new Map([["README.md", "# One `two`\n[a](#one-two) [b](#three) [c](no.md) [d](https://example.org)"]])
    expect(Pages.deadLinks(pages)).toEqual([
      "README.md: README.md has no section #three",
      "README.md: there is no no.md"
    ])
  })

  it("a page that no link leads to is told", () => {
    const pages = new Map([["README.md", "[a](docs/a.md)"], ["docs/a.md", ""], ["docs/b.md", ""]])
    expect(Pages.unreachable(pages)).toEqual(["docs/b.md: no link leads from the README to it"])
  })

  it("long pages and long sentences are told", () => {
    const pages = new Map([["README.md", `${"word ".repeat(31)}.\n\nShort.`], ["docs/a.md", "\n".repeat(250) + "end"]])
    expect(Pages.tooLong(pages).map((problem) => problem.slice(0, 30))).toEqual([
      "docs/a.md: 251 lines, 250 at m",
      "README.md: more than 30 words:"
    ])
  })

  it("a claim that the README does not make, or that no test shows, is told", () => {
    const table = [
      "| they say | the test | its name |",
      "| It **is fast** | [a](../test/a.ts) | is fast |",
      "| It is small | [a](../test/a.ts) | is fast |",
      "| It is | [a](../test/a.ts) | is small |"
    ]
    const pages = new Map([["README.md", "It is\nfast."], ["docs/a.md", table.join("\n")]])
    const testOf = (path: string) => path === "test/a.ts" ? "it(\"is fast\")" : ""
    expect(Pages.unproved(pages, "docs/a.md", testOf)).toEqual([
      "docs/a.md: the README does not say: It is small",
      "docs/a.md: ../test/a.ts has no test: is small"
    ])
    expect(Pages.unproved(pages, "docs/b.md", testOf)).toEqual(["docs/b.md: there is no table of claims"])
  })

  it("a name that is missing in backticks is told", () => {
    expect(Pages.unnamed("p.md", "`a` b `x.c`", ["a", "b", "c"])).toEqual(["p.md: `b` is missing"])
  })

  it("an example of a value uses it, beyond its import and its comments", () => {
    const imported = "import { run } from \"a\"\n"
    expect(Pages.isUsed("run", [block(`${imported}export const b = run(c)`)])).toBe(true)
    expect(Pages.isUsed("run", [block(`${imported}// run\nexport const b = running(c)`), "run()"])).toBe(false)
    expect(Pages.isUsed("run", [])).toBe(false)
    expect(Pages.isUsed("default", [block("test()")])).toBe(true)
  })
})
