// The programs in examples/: twelve steps of a ladder, topics by subject, and folders with a program of several files.
import { existsSync, readdirSync, readFileSync } from "node:fs"

const filesOf = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder).filter((file) => file.endsWith(".ts")).map((file) => `${folder}/${file}`).sort()

const foldersOf = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) =>
    `${folder}/${name}`
  ).sort()

/** The steps, in their order. */
export const steps = (): ReadonlyArray<string> => filesOf("examples")

const topics = (): ReadonlyArray<string> => foldersOf("examples/topics").flatMap(filesOf)

/** Those that are one file each. */
export const singles = (): ReadonlyArray<string> => [...steps(), ...topics()]

/** All of them. A folder with a package file of its own has tests of its own, too. */
export const programs = (): ReadonlyArray<string> => [
  ...singles(),
  ...foldersOf("examples")
    .filter((folder) => existsSync(`${folder}/main.ts`) && !existsSync(`${folder}/package.json`))
    .map((folder) => `${folder}/main.ts`)
]

/** Those that a few letters mean: `04`, `4`, `outbox`, `topics/data/streaming-export`. */
export const named = (text: string, files: ReadonlyArray<string>): ReadonlyArray<string> => {
  const number = /^\d+$/.test(text) ? `examples/${text.padStart(2, "0")}-` : undefined
  if (number !== undefined) return files.filter((file) => file.startsWith(number))
  const words = text.replace(/^examples\//, "").replace(/(\/main)?\.ts$/, "")
  const exact = files.filter((file) => shortOf(file) === words || shortOf(file).split("/").at(-1) === words)
  return exact.length > 0 ? exact : files.filter((file) => shortOf(file).includes(words))
}

const shortOf = (file: string) => file.replace(/^examples\/(\d\d-)?/, "").replace(/(\/main)?\.ts$/, "")

const lengthOf = (file: string) => readFileSync(file, "utf8").trimEnd().split("\n").length

/** What is wrong with the ladder and the lengths. */
export const problems = (): ReadonlyArray<string> => {
  const ladder = steps()
  const isGap = ladder.some((file, index) => !file.startsWith(`examples/${String(index + 1).padStart(2, "0")}-`))
  return [
    ...(ladder.length === 12 && !isGap ? [] : [`the steps are not numbered from 01 to 12: ${ladder.join(", ")}`]),
    ...ladder.filter((file) => lengthOf(file) >= 60).map((file) => `${file} has 60 lines or more`),
    ...singles().filter((file) => lengthOf(file) > 80).map((file) => `${file} has more than 80 lines`),
    ...ladder.filter((file) => readFileSync(file, "utf8").includes("unwrapEffect")).map((file) =>
      `${file} unwraps the server's URL by hand: take MongoServer.layerClient or clientOf`
    )
  ]
}
