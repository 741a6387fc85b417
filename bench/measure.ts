/**
 * Measures groups, each in a process of its own, against a server in another one.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ColdImport from "./coldImport.js"
import { group, type GroupName, quick } from "./groups.js"
import type { Job } from "./job.js"
import { Failed, promised, start } from "./processes.js"
import { measure, type Samples } from "./rounds.js"
import type { Row } from "./rows.js"

/** What was measured of a group. */
export interface Measured {
  readonly samples: Samples
  /** What effect-mongodb and its raw driver did; absent where it can't do this. */
  readonly effectMongodb: Samples | undefined
}

/** Measures the rows of a group. `mongod` is the URL of the mongod. */
export const measureGroup = (
  name: GroupName,
  rows: ReadonlyArray<Row>,
  options: { readonly isQuick: boolean; readonly mongod: string | undefined }
): Effect.Effect<Measured, Failed> =>
  Effect.scoped(Effect.gen(function*() {
    const { server, size: whole } = group(name)
    const size = options.isQuick ? quick(whole) : whole
    const theirs = rows.flatMap(({ effectMongodb }) => effectMongodb ?? [])
    if (name === "coldImport") {
      return {
        samples: yield* promised(() => measure(ColdImport.ours, size)),
        effectMongodb: yield* promised(() => measure(ColdImport.effectMongodb, size))
      }
    }
    const url = server === "mongod"
      ? options.mongod
      : yield* printed<string>("nullResponder.ts", String(server === "none" ? 1 : server.batch))
    if (url === undefined) return yield* new Failed({ message: "no mongod started" })
    const ask = (program: string, arms: ReadonlyArray<string>) => {
      const job: Job = { group: name, url, size, arms: ["raw", "control", ...arms] }
      return printed<Samples>(program, JSON.stringify(job))
    }
    return {
      samples: yield* ask(
        "worker.ts",
        rows.flatMap(({ bare = [], guarded = [], ours }) => [ours].concat(bare, guarded))
      ),
      effectMongodb: theirs.length === 0 ? undefined : yield* ask("effectMongodb/worker.js", theirs)
    }
  }))

/** What a program of the benchmark prints. The scope ends its process. */
export const printed = <A>(program: string, argument: string): Effect.Effect<A, Failed, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => start<A>(program, [argument])),
    ({ child }) => Effect.sync(() => child.kill())
  ).pipe(Effect.flatMap(({ printed }) => promised(() => printed)))
