/**
 * `npm run bench`: this library against the raw driver, and effect-mongodb against the raw driver that it runs on. With
 * `--page`, the figures of a run go onto the page on performance.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { writeFileSync } from "node:fs"
import * as MongoServer from "../src/testing/MongoServer.js"
import { type Arguments, parse, usage } from "./arguments.js"
import { environment, load } from "./environment.js"
import { group } from "./groups.js"
import { measureGroup } from "./measure.js"
import { install, prepare } from "./prepare.js"
import { promised } from "./processes.js"
import { publish, read } from "./readme.js"
import { type Report, type Result, resultsOf } from "./results.js"
import { rows } from "./rows.js"
import { table } from "./table.js"

const program = (args: Arguments) =>
  Effect.gen(function*() {
    yield* promised(prepare)
    const loadBefore = load()
    const needsServer = args.rows.some((row) => group(row.group).server === "mongod")
    const server = needsServer ? yield* Effect.either(MongoServer.make()) : undefined
    const mongod = server !== undefined && Either.isRight(server) ? server.right : undefined
    if (server !== undefined && Either.isLeft(server)) console.error(server.left.message)

    const results: Array<Result> = []
    const failed: Array<{ readonly name: string; readonly reason: string }> = []
    for (const name of new Set(args.rows.map((row) => row.group))) {
      const ofGroup = args.rows.filter((row) => row.group === name)
      console.error(`measuring ${ofGroup.map((row) => row.name).join("; ")}`)
      const options = { isQuick: args.quick, mongod: mongod?.url }
      const measured = yield* Effect.either(measureGroup(name, ofGroup, options))
      for (const row of ofGroup) {
        if (Either.isLeft(measured)) failed.push({ name: row.name, reason: measured.left.message })
        else results.push(...resultsOf(row, measured.right.samples, measured.right.effectMongodb))
      }
    }
    const report: Report = {
      environment: environment(mongod?.description, loadBefore),
      results,
      failed,
      isWhole: args.rows.length === rows.length && !args.quick && failed.length === 0
    }
    return report
  }).pipe(Effect.scoped)

const refuse = (message: string): never => {
  console.error(`${message}\nusage: ${usage}`)
  process.exit(2)
}

const run = async (args: Arguments): Promise<void> => {
  const report = await Effect.runPromise(program(args))
  console.log(table(report.results))
  for (const { name, reason } of report.failed) console.log(`not measured: ${name}: ${reason}`)
  if (args.json !== undefined) writeFileSync(args.json, `${JSON.stringify(report, null, 2)}\n`)
  process.exitCode = report.failed.length === 0 ? 0 : 1
}

const show = async (path: string): Promise<void> => {
  const report = read(path)
  if (typeof report === "string") return refuse(report)
  await install()
  await publish(report)
}

const args = parse(process.argv.slice(2))
if (typeof args === "string") refuse(args)
else await (args.page === undefined ? run(args) : show(args.page))
