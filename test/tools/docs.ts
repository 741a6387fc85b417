// Every public export has a description, `@since` and a known `@category`, and each value an `@example` of its own use; every example in a doc comment compiles, and so
// does every program in README.md and docs/, whose links and lists are held to what is there.
import { readFileSync } from "node:fs"
import { relative } from "node:path"
import ts from "typescript"
import * as Pages from "./pages.js"

const categories = new Set([
  "models",
  "tags",
  "options",
  "constructors",
  "layers",
  "combinators",
  "accessors",
  "errors",
  "testing"
])

const root = process.cwd()
const config = ts.getParsedCommandLineOfConfigFile("tsconfig.json", {}, {
  ...ts.sys,
  onUnRecoverableConfigFileDiagnostic: (diagnostic) => {
    throw new Error(ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n"))
  }
})
if (config === undefined) throw new Error("tsconfig.json cannot be read")

const isPublic = (file: string) => /^src\/(testing\/)?[^/]+\.ts$/.test(relative(root, file))
const modules = config.fileNames.filter(isPublic)
const problems: Array<string> = []

const place = (file: ts.SourceFile, position: number) =>
  `${relative(root, file.fileName)}:${file.getLineAndCharacterOfPosition(position).line + 1}`

/** The code of the `ts` blocks in a file's doc comments, as files that lie (in memory only) among the examples. */
const examples = new Map<string, { readonly code: string; readonly origin: string }>()
for (const module of config.fileNames.filter((file) => relative(root, file).startsWith("src/"))) {
  const text = ts.sys.readFile(module) ?? ""
  const file = ts.createSourceFile(module, text, ts.ScriptTarget.Latest)
  let count = 0
  for (const match of text.matchAll(/^ *\* ```ts\n([\s\S]*?)^ *\* ```$/gm)) {
    count++
    const code = (match[1] ?? "").replace(/^ *\* ?/gm, "")
    const name = relative(`${root}/src`, module).replaceAll("/", "-").replace(/\.ts$/, `-${count}.ts`)
    examples.set(`${root}/examples/doc-${name}`, { code, origin: place(file, match.index) })
  }
}

const pages = Pages.readPages()
for (const [path, text] of pages) {
  for (const [index, program] of Pages.programsOf(path, text).entries()) {
    const name = `page-${path.replace(/\W/g, "-")}-${index}.ts`
    examples.set(`${root}/examples/${name}`, program)
  }
}

const options: ts.CompilerOptions = { ...config.options, noUnusedLocals: false, noUnusedParameters: false }
const host = ts.createCompilerHost(options, true)
const { fileExists, getSourceFile, readFile } = host
host.fileExists = (name) => examples.has(name) || fileExists(name)
host.readFile = (name) => examples.get(name)?.code ?? readFile(name)
host.getSourceFile = (name, version, ...rest) => {
  const example = examples.get(name)
  return example === undefined
    ? getSourceFile(name, version, ...rest)
    : ts.createSourceFile(name, example.code, version, true)
}
const program = ts.createProgram([...modules, ...examples.keys()], options, host)
const checker = program.getTypeChecker()

// What is exported twice is documented where it is declared, if that is a public module.
const declaredIn = (symbol: ts.Symbol): ts.Symbol =>
  (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol)
const examplesOf = (exported: ts.Symbol): ReadonlyArray<string> => {
  const declared = declaredIn(exported)
  const places = isPublic(declared.declarations?.[0]?.getSourceFile().fileName ?? "")
    ? [exported, declared]
    : [exported]
  return places.flatMap((symbol) => symbol.getJsDocTags(checker))
    .flatMap(({ name, text }) => name === "example" ? [ts.displayPartsToString(text)] : [])
}

let values = 0
for (const module of modules) {
  const file = program.getSourceFile(module)
  const symbol = file && checker.getSymbolAtLocation(file)
  if (symbol === undefined || /\/index\.ts$/.test(module)) continue
  for (const exported of checker.getExportsOfModule(symbol)) {
    const isValue = (declaredIn(exported).flags & ts.SymbolFlags.Value) !== 0
    if (!isValue || exported.getJsDocTags(checker).some((tag) => tag.name === "internal")) continue
    values++
    if (Pages.isUsed(exported.name, examplesOf(exported))) continue
    problems.push(`${relative(root, module)}: ${exported.name} has no @example of its own use`)
  }
}

for (const module of modules) {
  const file = program.getSourceFile(module)
  const symbol = file && checker.getSymbolAtLocation(file)
  if (file === undefined) continue
  if (!file.text.startsWith("/**")) problems.push(`${place(file, 0)}: the module has no doc comment`)
  if (symbol === undefined || /\/index\.ts$/.test(module)) continue
  for (const exported of checker.getExportsOfModule(symbol)) {
    const declaration = exported.declarations?.[0]
    if (declaration === undefined || declaration.getSourceFile() !== file) continue
    const tags = exported.getJsDocTags(checker)
    if (tags.some((tag) => tag.name === "internal")) continue
    const missing = [
      ...(exported.getDocumentationComment(checker).length === 0 ? ["a description"] : []),
      ...(tags.some((tag) => tag.name === "since") ? [] : ["@since"]),
      ...(tags.some((tag) => tag.name === "category" && categories.has(ts.displayPartsToString(tag.text)))
        ? []
        : ["a known @category"])
    ]
    if (missing.length > 0) {
      problems.push(`${place(file, declaration.getStart())}: ${exported.name} has not ${missing.join(", ")}`)
    }
  }
}

/** The members of public interfaces of options. */
const optionsOf = (module: string, ...names: ReadonlyArray<string>): ReadonlyArray<string> => {
  const file = program.getSourceFile(`${root}/src/${module}.ts`)
  const symbol = file && checker.getSymbolAtLocation(file)
  const exported = symbol === undefined ? [] : checker.getExportsOfModule(symbol)
  return names.flatMap((name) => {
    const found = exported.find((one) => one.name === name)
    const members = found === undefined ? [] : checker.getDeclaredTypeOfSymbol(
      (found.flags & ts.SymbolFlags.Alias) === 0 ? found : checker.getAliasedSymbol(found)
    ).getProperties()
    if (members.length === 0) problems.push(`src/${module}.ts has no options ${name}`)
    return members.map((member) => member.name)
  })
}
const optionNames = new Set([
  ...optionsOf("Session", "Options"),
  ...optionsOf("MongoClient", "Options"),
  ...optionsOf("SessionKeeper", "Options").map((name) => `keepAlive.${name}`),
  ...optionsOf("Transaction", "Options"),
  ...optionsOf("ChangeStream", "Options", "ConsumeOptions"),
  ...optionsOf("Outbox", "TypedOptions", "RelayOptions"),
  ...optionsOf("Once", "TypedOptions", "RunOptions"),
  ...optionsOf("Lease", "Options"),
  ...optionsOf("Steps", "Options", "StepOptions")
])
const errorTags = modules.flatMap((module) =>
  [...readFileSync(module, "utf8").matchAll(/Data\.TaggedError\("(\w+)"\)/g)].map(([, tag = ""]) => tag)
)
const reasons = readFileSync("src/internal/values/reasons.ts", "utf8").matchAll(/^ {2}\| "(\w+)"$/gm)
const page = (path: string) => pages.get(path) ?? ""
problems.push(
  ...Pages.deadLinks(pages),
  ...Pages.unreachable(pages),
  ...Pages.tooLong(pages),
  ...Pages.unproved(pages, "docs/guarantees.md", (path) => ts.sys.readFile(path) ?? ""),
  ...Pages.unnamed("docs/options.md", page("docs/options.md"), optionNames),
  ...Pages.unnamed("docs/errors.md", page("docs/errors.md"), [
    ...errorTags,
    ...[...reasons].map(([, reason = ""]) => reason)
  ])
)

for (const [name, { origin }] of examples) {
  const file = program.getSourceFile(name)
  if (file === undefined) continue
  for (
    const { messageText, start = 0 } of [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file)
    ]
  ) {
    const { line } = file.getLineAndCharacterOfPosition(start)
    problems.push(
      `${origin}: line ${line + 1} of the example: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`
    )
  }
}

for (const problem of problems) console.error(problem)
console.log(
  `${modules.length} modules, ${values} values, ${pages.size} pages, ${examples.size} programs, ${problems.length} problems`
)
process.exitCode = problems.length > 0 || modules.length === 0 ? 1 : 0
