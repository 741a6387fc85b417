/**
 * What npm installs for those who use the library, by the lockfile: its dependencies, the peers that it cannot do without, and
 * what these need. What a user has anyway for tests, the optional peers, is theirs to judge.
 */

/** A package of a lockfile. */
export interface Locked {
  readonly version?: string
  readonly license?: string
  readonly resolved?: string
  readonly integrity?: string
  readonly hasInstallScript?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

/** A lockfile of npm, from version 2 on. */
export interface Lockfile {
  readonly packages: Readonly<Record<string, Locked>>
}

/** A package that is installed. */
export interface Installed extends Locked {
  readonly name: string
}

/** An entry of a bill of materials in the format CycloneDX. */
export interface Component {
  readonly "bom-ref": string
  readonly name: string
  readonly version: string
  readonly purl?: string
  readonly licenses?: ReadonlyArray<unknown>
  readonly hashes?: ReadonlyArray<unknown>
}

/** What a package of a bill needs. */
export interface Edge {
  readonly ref: string
  readonly dependsOn?: ReadonlyArray<string>
}

const folder = "node_modules/"

/** All packages that users of the lockfile's own package get, each once, by name and version. */
export const installed = ({ packages }: Lockfile): ReadonlyArray<Installed> => {
  const found = new Map<string, Installed>()
  const visit = (path: string): void => {
    const from = packages[path]
    if (from === undefined) throw new Error(`the lockfile has no ${path}`)
    for (const name of needs(from)) {
      const at = resolve(packages, path, name)
      if (at === undefined) throw new Error(`the lockfile has no ${name}, which ${path || "the package"} needs`)
      if (found.has(at)) continue
      found.set(at, { ...packages[at], name })
      visit(at)
    }
  }
  visit("")
  return [...found.values()].sort((one, other) => one.name < other.name ? -1 : 1)
}

const needs = ({ dependencies, peerDependencies, peerDependenciesMeta }: Locked): ReadonlyArray<string> => [
  ...Object.keys(dependencies ?? {}),
  ...Object.keys(peerDependencies ?? {}).filter((name) => peerDependenciesMeta?.[name]?.optional !== true)
]

// As Node.js looks for it: in the folder of who needs it, and in those around it.
const resolve = (packages: Lockfile["packages"], from: string, name: string): string | undefined => {
  for (let at = from;;) {
    const path = `${at === "" ? "" : `${at}/`}${folder}${name}`
    if (packages[path] !== undefined) return path
    if (at === "") return undefined
    const outer = at.lastIndexOf(`/${folder}`)
    at = outer < 0 ? "" : at.slice(0, outer)
  }
}

/** The licences that ask nothing of a user but to name the authors. */
const allowed: ReadonlySet<string> = new Set([
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "ISC",
  "MIT"
])

/** What is wrong with what is installed. */
export const problems = (all: ReadonlyArray<Installed>): ReadonlyArray<string> =>
  all.flatMap(({ hasInstallScript, integrity, license, name, version }) => {
    const it = `${name}@${version ?? "?"}`
    return [
      ...(license !== undefined && allowed.has(license)
        ? []
        : [`${it} has the licence ${license ?? "of nobody knows"}`]),
      ...(hasInstallScript === true ? [`${it} runs a script when it is installed`] : []),
      ...(integrity === undefined ? [`${it} has no hash in the lockfile`] : [])
    ]
  })

/** The entries of a bill for what is installed, and what the bill lacks. */
export const billed = (
  all: ReadonlyArray<Installed>,
  components: ReadonlyArray<Component>
): { readonly components: ReadonlyArray<Component>; readonly problems: ReadonlyArray<string> } => {
  const own = components.filter(({ name, version }) => all.some((one) => one.name === name && one.version === version))
  return {
    components: own,
    problems: all.flatMap(({ name, version }) => {
      const entry = own.find((one) => one.name === name && one.version === version)
      if (entry === undefined) return [`the bill of materials lacks ${name}@${version ?? "?"}`]
      const lacking = (["purl", "licenses", "hashes"] as const).filter((field) => (entry[field]?.length ?? 0) === 0)
      return lacking.map((field) => `the bill of materials has no ${field} of ${name}`)
    })
  }
}

/** What packages of a bill need of each other. */
export const among = (refs: ReadonlyArray<string>, edges: ReadonlyArray<Edge>): ReadonlyArray<Edge> => {
  const known = new Set(refs)
  return edges.filter(({ ref }) => known.has(ref)).map(({ dependsOn = [], ref }) => ({
    ref,
    dependsOn: dependsOn.filter((one) => known.has(one))
  }))
}
