/**
 * Runs all tests of a folder on one server.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { readFileSync } from "node:fs"
import * as MongoServer from "../../src/testing/MongoServer.js"
import type { Version } from "./driver.js"
import type { Found } from "./files.js"
import { type File, parse, type Test } from "./format.js"
import * as Lateness from "./lateness.js"
import * as Raw from "./raw.js"
import * as Report from "./report.js"
import { type Deployment, unmet } from "./requirements.js"
import * as Runner from "./runner.js"
import * as Server from "./server.js"
import { type Waiver, waiversOn } from "./waivers.js"

/** Runs the tests whose name, or whose file's name, contains the text, on a replica set with so many members. */
export const run = (
  { driver, files, match, members }: {
    readonly files: ReadonlyArray<Found>
    readonly match: string | undefined
    readonly members: 1 | 3
    readonly driver: Version
  }
): Effect.Effect<Report.Report, MongoServer.MongoServerUnavailable> =>
  Effect.scoped(Effect.gen(function*() {
    const main = yield* start({ members })
    const servers: Servers = {
      main,
      others: yield* Effect.all([
        other(main, { topology: "single" }, { standalone: true }),
        other(main, { auth: true, parameters: { ...main.deployment.parameters, ...parameters } }, {
          auth: true,
          parameters
        })
      ])
    }
    const waivers = waiversOn(driver)
    const entries = yield* Effect.forEach(files, (file) => ofFile(servers, file, match, waivers))
    return Report.make(entries.flat())
  })).pipe(
    // What the library warns of is what the tests bring about.
    Effect.provide(Logger.remove(Logger.defaultLogger))
  )

/** The server that tests run on, and those of other kinds, which are started for the first test that needs one. */
interface Servers {
  readonly main: Server.Server
  readonly others: ReadonlyArray<Choice>
}

interface Choice {
  readonly expected: Deployment
  readonly start: Effect.Effect<Server.Server, MongoServer.MongoServerUnavailable>
}

// What mongod takes at its start only.
const parameters = { acceptApiVersion2: true }

const start = (options: MongoServer.Options) =>
  Effect.tap(Effect.flatMap(MongoServer.make(options), Server.make), (server) => server.killAllSessions)

const other = ({ deployment }: Server.Server, difference: Partial<Deployment>, options: MongoServer.Options) =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const expected = { ...deployment, ...difference }
    return { expected, start: yield* Effect.cached(Scope.extend(start(options), scope)) }
  })

/** The first server that has what a test needs; where none has, the first one for its file, so that the reason is the test's own. */
const serverFor = ({ main, others }: Servers, file: File, test: Test) => {
  const fitsFile = ({ expected }: Choice) => unmet(file.runOnRequirements, expected) === undefined
  const fits = (choice: Choice) => fitsFile(choice) && unmet(test.runOnRequirements, choice.expected) === undefined
  const all = [{ expected: main.deployment, start: Effect.succeed(main) }, ...others]
  return (all.find(fits) ?? all.find(fitsFile) ?? all[0]!).start
}

const ofFile = (
  servers: Servers,
  { name, path }: Found,
  match: string | undefined,
  waivers: ReadonlyArray<Waiver>
): Effect.Effect<ReadonlyArray<Report.Entry>, MongoServer.MongoServerUnavailable> => {
  const isWanted = (text: string): boolean => match === undefined || text.includes(match)
  const file = parse(readFileSync(path, "utf8"))
  if (Either.isLeft(file)) {
    const entry = { file: name, test: "(the whole file)", result: "skipped", reason: file.left } as const
    return Effect.succeed(isWanted(name) ? [entry] : [])
  }
  const tests = file.right.tests.filter(({ description }) => isWanted(`${name} > ${description}`))
  return Effect.forEach(tests, (test) =>
    Effect.gen(function*() {
      const server = yield* serverFor(servers, file.right, test)
      const outcome = yield* Lateness.patiently(test, Runner.run(server, file.right, test))
      const entry = { file: name, test: test.description, ...outcome }
      const byDriver = Report.needsEvidence(entry, waivers) ? yield* Raw.run(server, file.right, test) : undefined
      return Report.waive(entry, waivers, byDriver)
    }))
}
