/**
 * Runs all tests of a folder on one server.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Logger from "effect/Logger"
import { readFileSync } from "node:fs"
import * as MongoServer from "../../src/testing/MongoServer.js"
import type { Version } from "./driver.js"
import { find, type Found } from "./files.js"
import { parse } from "./format.js"
import * as Report from "./report.js"
import * as Runner from "./runner.js"
import * as Server from "./server.js"
import { type Waiver, waiversOn } from "./waivers.js"

/** Runs the tests of a folder whose name, or whose file's name, contains the text. */
export const run = (
  { driver, folder, match }: {
    readonly folder: string
    readonly match: string | undefined
    readonly driver: Version
  }
): Effect.Effect<Report.Report, MongoServer.MongoServerUnavailable> =>
  Effect.scoped(Effect.gen(function*() {
    const server = yield* Effect.flatMap(MongoServer.make(), Server.make)
    const waivers = waiversOn(server.description, driver)
    yield* server.killAllSessions
    const entries = yield* Effect.forEach(find(folder), (file) => ofFile(server, file, match, waivers))
    return Report.make(entries.flat())
  })).pipe(
    // What the library warns of is what the tests bring about.
    Effect.provide(Logger.remove(Logger.defaultLogger))
  )

const ofFile = (
  server: Server.Server,
  { name, path }: Found,
  match: string | undefined,
  waivers: ReadonlyArray<Waiver>
): Effect.Effect<ReadonlyArray<Report.Entry>> => {
  const isWanted = (text: string): boolean => match === undefined || text.includes(match)
  const file = parse(readFileSync(path, "utf8"))
  if (Either.isLeft(file)) {
    const entry = { file: name, test: "(the whole file)", result: "skipped", reason: file.left } as const
    return Effect.succeed(isWanted(name) ? [entry] : [])
  }
  const tests = file.right.tests.filter(({ description }) => isWanted(`${name} > ${description}`))
  return Effect.forEach(tests, (test) =>
    Effect.map(
      Runner.run(server, file.right, test),
      (outcome) => Report.waive({ file: name, test: test.description, ...outcome }, waivers)
    ))
}
