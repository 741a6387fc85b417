/**
 * Puts what the compiler has made of each module into one file, with a small one for each public module: Node.js takes a
 * millisecond or two for each file that is imported, and this library has more than seventy.
 */
import { transformAsync } from "@babel/core"
import { readdirSync, readFileSync, rmSync } from "node:fs"
import { dirname, resolve, sep } from "node:path"
import { type Plugin, rollup } from "rollup"

const dist = resolve("dist")
const all = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".js"))
const modules = all.filter((file) => !file.split(sep).includes("internal"))

// A module of its own for each public name: the real ones go into the common file.
const prefix = "public:"
const facades: Plugin = {
  name: "facades",
  resolveId: (id, importer) =>
    id.startsWith(prefix)
      ? `\0${id}`
      : id.startsWith(".") && importer !== undefined
      ? resolve(dirname(importer), id)
      : undefined,
  load: (id) => {
    if (id.startsWith(`\0${prefix}`)) {
      const path = resolve(dist, id.slice(prefix.length + 1))
      const from = `from ${JSON.stringify(path)}`
      // the star leaves a default out
      const isDefault = /^export default /m.test(readFileSync(path, "utf8"))
      return `export * ${from}\n${isDefault ? `export { default } ${from}` : ""}`
    }
    return id.startsWith(dist + sep)
      ? { code: readFileSync(id, "utf8"), map: JSON.parse(readFileSync(`${id}.map`, "utf8")) }
      : undefined
  }
}

// A bundler drops what nobody uses of a file only where calls say that they do nothing else: of one error, all would stay.
const pure: Plugin = {
  name: "pure",
  renderChunk: async (code, { fileName }) => {
    const marked = await transformAsync(code, {
      plugins: ["annotate-pure-calls"],
      babelrc: false,
      configFile: false,
      compact: false,
      sourceMaps: true,
      sourceFileName: fileName
    })
    const { code: text, map } = marked ?? {}
    if (typeof text !== "string" || !map) throw new Error(`${fileName} could not be marked`)
    return { code: text, map: JSON.stringify(map) }
  }
}

// The errors and what they are made of: who catches them need not have the rest.
const isOfErrors = (id: string): boolean =>
  /[/](time|values)[/]|[/](MongoError|[A-Z][A-Za-z]+Errors|SessionId)\.js$/.test(id)

const bundle = await rollup({
  input: Object.fromEntries(modules.map((file) => [file.slice(0, -".js".length), prefix + file])),
  external: (id) => /^[@a-z]/.test(id) && !id.startsWith(prefix),
  plugins: [facades, pure],
  treeshake: { moduleSideEffects: false },
  onwarn: (warning) => {
    // A module of types only.
    if (warning.code !== "EMPTY_BUNDLE") throw new Error(warning.message)
  }
})
for (const file of all) {
  rmSync(resolve(dist, file))
  rmSync(resolve(dist, `${file}.map`))
}
await bundle.write({
  dir: dist,
  format: "es",
  sourcemap: true,
  sourcemapExcludeSources: true,
  hoistTransitiveImports: false,
  minifyInternalExports: false,
  chunkFileNames: "internal/[name].js",
  manualChunks: (id) =>
    id.startsWith("\0")
      ? undefined
      : id.startsWith(resolve(dist, "testing") + sep)
      ? "testing"
      : isOfErrors(id)
      ? "errors"
      // Of another package, which takes longer to be loaded than all of this.
      : id === resolve(dist, "OldSchemas.js")
      ? "oldSchemas"
      : "library"
})
