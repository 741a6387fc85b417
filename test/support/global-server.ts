/**
 * One server for all integration tests of a run, started before them and stopped after them.
 *
 * A run without any server is not a failure here: the tests that need one fail with the reason.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"
import * as MongoServer from "../../src/testing/MongoServer.js"

/** What tests are told of the server; it goes to their processes as plain data. */
export type Shared =
  | { readonly _tag: "Running"; readonly server: Omit<MongoServer.Service, "urlAs"> }
  | { readonly _tag: "Unavailable"; readonly attempts: ReadonlyArray<MongoServer.Attempt> }

declare module "vitest" {
  export interface ProvidedContext {
    readonly testServer: Shared
  }
}

const start = Effect.gen(function*() {
  const scope = yield* Scope.make()
  const result = yield* Effect.either(Scope.extend(MongoServer.make(), scope))
  return { result, stop: Scope.close(scope, Exit.void) }
})

const toShared = Either.match({
  onLeft: ({ attempts }: MongoServer.MongoServerUnavailable): Shared => ({ _tag: "Unavailable", attempts }),
  onRight: ({ urlAs: _, ...server }: MongoServer.Service): Shared => ({ _tag: "Running", server })
})

export default async (project: TestProject): Promise<() => Promise<void>> => {
  const { result, stop } = await Effect.runPromise(start)
  project.provide("testServer", toShared(result))
  return () => Effect.runPromise(stop)
}
