// What makes a package publishable, as plain functions: links that resolve in the tarball, and an address of its repository.
import { dirname, join, normalize } from "node:path"
import { linksOf } from "./pages.js"

interface Manifest {
  readonly repository?: unknown
  readonly homepage?: unknown
  readonly bugs?: unknown
}

/** Why a package may not be published yet: npm resolves links by these, and provenance is checked against the first. */
export const unpublishable = (manifest: Manifest): ReadonlyArray<string> =>
  (["repository", "homepage", "bugs"] as const).filter((field) => manifest[field] === undefined).map((field) =>
    `package.json has no ${field}: set it to the address of the forge that the project is published from`
  )

// What only those read who have the repository.
const isOfRepository = (path: string) => /^(test|bench)\/|^CONTRIBUTING\.md$/.test(path)

/** Links of packed pages that lead nowhere in the tarball. Those of the README all have to; other pages may name tests. */
export const deadIn = (
  files: ReadonlySet<string>,
  pages: ReadonlyMap<string, string>
): ReadonlyArray<string> =>
  [...pages].filter(([path]) => files.has(path)).flatMap(([path, text]) =>
    linksOf(text).flatMap((link) => {
      const [file = ""] = link.split("#")
      if (file === "") return []
      const target = normalize(join(dirname(path), file))
      const isFine = files.has(target) || (path !== "README.md" && isOfRepository(target))
      return isFine ? [] : [`${path}: ${target} is not in the package`]
    })
  )
