/**
 * What the built package adds to a program's bundle: minified, without the packages that it needs. More than the limits is a
 * failure: then a bundler keeps what nobody uses. So is a package that is loaded with it though most programs do not need it.
 */
import { build } from "esbuild"

const parts = [
  { name: "one error", limit: 6.6, code: `export { SessionEnded } from "./SessionErrors.js"` },
  { name: "sessions", limit: 70.8, code: `export { scoped, use } from "./Session.js"` },
  {
    name: "client, sessions, transactions",
    limit: 155,
    code:
      `export { layer } from "./MongoClient.js"; export { scoped } from "./Session.js"; export { run } from "./Transaction.js"`
  },
  { name: "all", limit: 305, code: `export * from "./index.js"` }
]

for (const { code, limit, name } of parts) {
  const { metafile: { outputs }, outputFiles: [file] } = await build({
    stdin: { contents: code, resolveDir: "dist" },
    bundle: true,
    minify: true,
    metafile: true,
    write: false,
    format: "esm",
    platform: "node",
    packages: "external"
  })
  const size = (file?.contents.length ?? Number.POSITIVE_INFINITY) / 1000
  const isTooLarge = size > limit
  console.log(`${name}: ${size.toFixed(1)} kB${isTooLarge ? `, more than ${limit}` : ""}`)
  const imports = Object.values(outputs).flatMap(({ imports }) => imports)
  const isLate = imports.some(({ kind, path }) => kind !== "dynamic-import" && path.startsWith("@effect/schema"))
  if (isLate) console.log(`${name}: it loads @effect/schema, though nobody has given a schema of it`)
  if (isTooLarge || isLate) process.exitCode = 1
}
