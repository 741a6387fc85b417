import { describe, expect, it } from "vitest"
import { firstParagraph, moduleSentence } from "../tools/opening.js"

describe("llms.txt has", () => {
  it("a page's first paragraph on one line, without its links", () => {
    expect(firstParagraph("# A\n\nOne [two](b.md)\nthree.\n\nFour.\n")).toBe("One two three.")
    expect(firstParagraph("# A\n\n<!-- b -->\n\n`c` is d.\n")).toBe("`c` is d.")
    expect(firstParagraph("# A\n\n## B\n\nOne.\n")).toBe("")
  })

  it("the first paragraph of a module's opening comment", () => {
    expect(moduleSentence("/**\n * One\n * {@link two}.\n *\n * Three.\n *\n * @since 0.1.0\n */\nimport x")).toBe(
      "One two."
    )
    expect(moduleSentence("/**\n * One.\n * @since 0.1.0\n */\n")).toBe("One.")
  })
})
