import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { linksOf, readPages } from "../tools/pages.js"
import { deadIn, forgeOf, linked, manifestOf, strangersIn, unpublishable } from "../tools/published.js"

describe("A package is published", () => {
  it("not, without the addresses that npm resolves its links by", () => {
    expect(unpublishable({}).map((problem) => problem.split(":", 1).join(""))).toEqual([
      "package.json has no repository",
      "package.json has no homepage",
      "package.json has no bugs"
    ])
    expect(unpublishable({ repository: {}, homepage: "https://a.example", bugs: {} })).toEqual([])
  })

  it("with links that resolve in it", () => {
    const files = new Set(["README.md", "docs/a.md", "docs/life.svg"])
    const dead = (path: string, text: string) => deadIn(files, new Map([[path, text]]))
    expect(dead("README.md", "[a](docs/a.md#b) ![](docs/life.svg) [x](https://x.example) [y](#here)")).toEqual([])
    expect(dead("README.md", "[b](docs/b.md)")).toEqual(["README.md: docs/b.md is not in the package"])
    expect(dead("README.md", "[t](test/a.test.ts)")).toEqual(["README.md: test/a.test.ts is not in the package"])
  })

  it("with pages that may name tests, but nothing else that is not packed", () => {
    const files = new Set(["docs/a.md"])
    const page = "[t](../test/a.test.ts) [c](../CONTRIBUTING.md) [e](../examples/01.ts)"
    expect(deadIn(files, new Map([["docs/a.md", page]]))).toEqual(["docs/a.md: examples/01.ts is not in the package"])
    expect(deadIn(new Set(), new Map([["docs/a.md", page]]))).toEqual([])
  })

  it("with pages that run no package that anybody may register", () => {
    const manifest = JSON.parse(readFileSync("package.json", "utf8"))
    expect(strangersIn(manifest, readPages())).toEqual([])
    const page = "npx tsx a.ts, npx -y other-one@1 b, bunx @scope/third, pnpm dlx effect-mongo-session"
    expect(strangersIn(manifest, new Map([["docs/a.md", page]]))).toEqual([
      "docs/a.md: runs other-one, which is no package of this project",
      "docs/a.md: runs @scope/third, which is no package of this project"
    ])
  })

  it("alone: the packages of its folders are private", () => {
    for (const folder of ["inspect", "examples/backend"]) {
      expect(JSON.parse(readFileSync(`${folder}/package.json`, "utf8")), folder).toHaveProperty("private", true)
    }
  })

  describe("from a forge", () => {
    const forge = forgeOf({
      GITHUB_SERVER_URL: "https://forge.example",
      GITHUB_REPOSITORY: "one/package",
      GITHUB_REF_NAME: "v1.2.3"
    })
    if (forge === undefined) throw new Error("there is a forge")

    it("with the addresses that only it knows", () => {
      expect(unpublishable(manifestOf(forge))).toEqual([])
      expect(manifestOf(forge)).toEqual({
        repository: { type: "git", url: "git+https://forge.example/one/package.git" },
        homepage: "https://forge.example/one/package#readme",
        bugs: { url: "https://forge.example/one/package/issues" }
      })
      expect(forgeOf({ GITHUB_SERVER_URL: "https://forge.example" })).toBeUndefined()
    })

    it("with a README whose links lead there, from wherever it is read", () => {
      expect(linked("[a](docs/a.md#b) ![p](docs/p.svg) [c](#c) [d](https://d.example)\n```ts\nf(a)[0](b)\n```", forge))
        .toBe(
          "[a](https://forge.example/one/package/blob/v1.2.3/docs/a.md#b) " +
            "![p](https://forge.example/one/package/raw/v1.2.3/docs/p.svg) [c](#c) [d](https://d.example)\n```ts\nf(a)[0](b)\n```"
        )
      const readme = readFileSync("README.md", "utf8")
      expect(linksOf(readme).length).toBeGreaterThan(30)
      expect(linksOf(linked(readme, forge)).filter((link) => !link.startsWith("#"))).toEqual([])
    })
  })
})
