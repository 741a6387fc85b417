/**
 * Which version of the driver the library runs on: the one that it is developed with, or another one that is installed
 * under an alias.
 */
import { createRequire, register } from "node:module"

/** The versions that can be asked for. */
export const versions = ["6", "7"] as const

export type Version = typeof versions[number]

const require = createRequire(import.meta.url)

/** The version that is installed under the driver's own name. */
export const installed: Version = (require("mongodb/package.json") as { readonly version: string })
    .version.startsWith("6.") ?
  "6" :
  "7"

/**
 * Has every later import of `mongodb` give the version; to be called before anything that needs the driver is imported.
 * Gives what is in the way.
 */
export const choose = (version: Version): string | undefined => {
  if (version === installed) return undefined
  // As in `npm install --save-dev mongodb6@npm:mongodb@6.13.0`.
  const alias = `mongodb${version}`
  try {
    require.resolve(alias)
  } catch {
    return `the driver ${version} is not installed: it is expected as the package ${alias} (npm:mongodb@${version})`
  }
  const hook = `export const resolve = (specifier, context, next) =>
    next(specifier === "mongodb" ? ${JSON.stringify(alias)} : specifier, context)`
  register(`data:text/javascript,${encodeURIComponent(hook)}`)
  return undefined
}
