import { expect, it } from "@effect/vitest"
import { fileURLToPath } from "node:url"
import ts from "typescript"

const file = fileURLToPath(new URL("../types/measured.ts", import.meta.url))

const head = `import type { Filter } from "../../src/Filter.js"
import type { Sort } from "../../src/Sort.js"
import type { Update } from "../../src/Update.js"
const find = <I>(_filter: Filter<I>, _update: Update<I>, _sort: Sort<I>): void => undefined
`

const fields = (letter: string) => Array.from({ length: 15 }, (_, n) => `readonly ${letter}${n}: string`).join("; ")

/** Sixty fields: of the document, of a part, of the elements of an array, and of those of an array in these. */
const large = `interface Large { ${fields("a")}; readonly part: { ${fields("b")} }
  readonly items: ReadonlyArray<{ ${fields("c")}; readonly items: ReadonlyArray<{ ${fields("d")} }> }> }
find<Large>({ "items.items.d1": "a", $or: [{ "part.b1": "b" }] }, { $set: { "items.$[].c1": "c" } }, { a1: 1 })
`
const empty = "find<{}>({}, { $set: {} }, {})\n"

/** How many types the compiler has to make for a source, and what it says of it. */
const measure = (source: string) => {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    noEmit: true
  }
  const host = ts.createCompilerHost(options)
  const { fileExists, getSourceFile } = host
  host.fileExists = (name) => name === file || fileExists(name)
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, source, ts.ScriptTarget.ES2022, true) : getSourceFile(name, ...rest)
  const program = ts.createProgram([file], options, host)
  const problems = program.getSemanticDiagnostics(program.getSourceFile(file))
  return { problems: problems.map(({ messageText }) => messageText), instantiations: program.getInstantiationCount() }
}

// It makes 24,400 more, for which `tsc --extendedDiagnostics` took 0.7 to 0.9 s on two busy cores. Counted, because the time
// depends on what else is running.
it("a schema of sixty fields is checked within a second", { timeout: 120_000 }, () => {
  const least = measure(head + empty)
  const most = measure(head + large)
  expect(least.problems).toEqual([])
  expect(most.problems).toEqual([])
  expect(most.instantiations - least.instantiations).toBeLessThan(30_000)
})
