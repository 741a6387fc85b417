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

/** Where a package is kept. */
export interface Forge {
  /** The address of the repository, for a browser. */
  readonly home: string
  /** The tag that is released. */
  readonly ref: string
}

/** The forge that runs this, as its environment says. */
export const forgeOf = (environment: Readonly<Record<string, string | undefined>>): Forge | undefined => {
  const { GITHUB_REF_NAME: ref, GITHUB_REPOSITORY: repository, GITHUB_SERVER_URL: server } = environment
  return server && repository && ref ? { home: `${server}/${repository}`, ref } : undefined
}

/** What a manifest says of where its package is kept. */
export const manifestOf = ({ home }: Forge): Required<Manifest> => ({
  repository: { type: "git", url: `git+${home}.git` },
  homepage: `${home}#readme`,
  bugs: { url: `${home}/issues` }
})

/** A page at the top of the repository with absolute links, for who reads it elsewhere. */
export const linked = (text: string, { home, ref }: Forge): string => {
  const files = new Set(linksOf(text).filter((link) => !link.startsWith("#")))
  return text.replace(
    /(!?)(\[[^\]]*\])\(([^)\s]+)\)/g,
    (whole, image: string, title: string, link: string) =>
      files.has(link) ? `${image}${title}(${home}/${image === "" ? "blob" : "raw"}/${ref}/${link})` : whole
  )
}

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

/** What a manifest says of the package and of what it needs. */
export interface Packages {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

/** Packages that pages run by their names, and which the project neither is nor needs: whoever registers one runs code at readers. */
export const strangersIn = (
  { dependencies, devDependencies, name }: Packages,
  pages: ReadonlyMap<string, string>
): ReadonlyArray<string> => {
  const known = new Set([name, ...Object.keys({ ...dependencies, ...devDependencies })])
  return [...pages].flatMap(([path, text]) =>
    [...text.matchAll(/\b(?:npx|bunx|pnpm dlx)(?: +-\S+)* +((?:@[\w-]+\/)?\w[\w.-]*)/g)].flatMap(([, run = ""]) =>
      known.has(run) ? [] : [`${path}: runs ${run}, which is no package of this project`]
    )
  )
}
