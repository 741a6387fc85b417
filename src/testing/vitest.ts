/**
 * One server for all files of a vitest suite, started before them and stopped after them, so that no test and no hook
 * waits for a server to be installed or started.
 *
 * In the configuration: `test: { globalSetup: ["effect-mongo-session/testing/vitest"] }`. A set of three, or other
 * options, need a file of one's own that exports `setup({ members: 3 })` as its default. In a test file:
 *
 * @example
 * ```ts
 * import { assert, layer } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 * import * as Vitest from "effect-mongo-session/testing/vitest"
 *
 * const Users = Collection.make("users")
 *
 * layer(Vitest.layerClient())((it) => {
 *   it.effect("a user is there after the commit", () =>
 *     Effect.gen(function*() {
 *       yield* Users.insertOne({ name: "Ann" }).pipe(Transaction.run())
 *       assert.strictEqual(yield* Users.countDocuments({}), 1)
 *     }))
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import type { TestProject } from "vitest/node"
import { readable } from "../internal/values/options.js"
import type * as MongoClient from "../MongoClient.js"
import type { MongoError } from "../MongoError.js"
import * as MongoServer from "./MongoServer.js"

/**
 * What test files are told of the server; it goes to their processes as plain data.
 *
 * @since 0.1.0
 * @category models
 */
export type Shared =
  | { readonly _tag: "Running"; readonly handle: MongoServer.Handle }
  | { readonly _tag: "Unavailable"; readonly attempts: ReadonlyArray<MongoServer.Attempt> }

declare module "vitest" {
  export interface ProvidedContext {
    readonly "effect-mongo-session": Shared
  }
}

/**
 * A `globalSetup` that starts a server with these options.
 *
 * Where no server is available it does not fail: the tests that need one fail, with the reason and what to do.
 *
 * @example
 * ```ts
 * import * as Vitest from "effect-mongo-session/testing/vitest"
 *
 * // A file that `globalSetup` names: a set of three for all tests.
 * export default Vitest.setup({ members: 3 })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const setup =
  (options?: MongoServer.Options) => async (project: Pick<TestProject, "provide">): Promise<() => Promise<void>> => {
    const scope = await Effect.runPromise(Scope.make())
    const server = await Effect.runPromise(Effect.either(Scope.extend(MongoServer.make(options), scope)))
    const shared = Either.match(server, {
      onLeft: ({ attempts }): Shared => ({ _tag: "Unavailable", attempts }),
      onRight: ({ handle }): Shared => ({ _tag: "Running", handle })
    })
    project.provide("effect-mongo-session", shared)
    return () => Effect.runPromise(Scope.close(scope, Exit.void))
  }

/**
 * A `globalSetup` that starts a server with the default options.
 *
 * @example
 * ```ts
 * import { defineConfig } from "vitest/config"
 *
 * // vitest.config.ts
 * export default defineConfig({ test: { globalSetup: ["effect-mongo-session/testing/vitest"] } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export default setup()

/**
 * The server that the `globalSetup` has started, for a test file.
 *
 * @example
 * ```ts
 * import { layer } from "@effect/vitest"
 * import { Effect } from "effect"
 * import * as MongoServer from "effect-mongo-session/testing/MongoServer"
 * import * as Vitest from "effect-mongo-session/testing/vitest"
 *
 * layer(Vitest.layer)((it) => {
 *   it.effect("is a replica set", () => Effect.flatMap(MongoServer.MongoServer, ({ primary }) => primary))
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<MongoServer.MongoServer, MongoServer.MongoServerUnavailable> = Layer.effect(
  MongoServer.MongoServer,
  Effect.gen(function*() {
    // only files with tests may import it, and this module is a setup, too
    const { inject } = yield* Effect.promise(() => import("vitest"))
    const shared: Shared | undefined = inject("effect-mongo-session")
    if (shared?._tag === "Running") return MongoServer.fromHandle(shared.handle)
    return yield* new MongoServer.MongoServerUnavailable({
      attempts: shared === undefined ? [notConfigured] : shared.attempts
    })
  })
)

const notConfigured: MongoServer.Attempt = {
  way: "settings",
  reason: "the vitest configuration starts no server",
  fix: "add `globalSetup: [\"effect-mongo-session/testing/vitest\"]` to its `test` section",
  output: []
}

/**
 * The same, with a client. Its default database is a new one for each use of the layer, unless `database` names one.
 *
 * @example
 * ```ts
 * import { expect, layer } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { Collection } from "effect-mongo-session"
 * import * as Vitest from "effect-mongo-session/testing/vitest"
 *
 * layer(Vitest.layerClient())((it) => {
 *   it.effect("a new database is empty", () =>
 *     Effect.map(Collection.make("users").countDocuments(), (count) => expect(count).toBe(0)))
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClient = (
  options?: Omit<MongoClient.Options, "url">
): Layer.Layer<
  MongoServer.MongoServer | MongoClient.MongoClient,
  MongoServer.MongoServerUnavailable | MongoError
> =>
  Layer.provideMerge(
    Layer.suspend(() =>
      Either.match(readable(options), {
        // The client tells what is wrong with them.
        onLeft: () => MongoServer.clientOf(options),
        onRight: (given) =>
          MongoServer.clientOf({ ...given, database: given?.database ?? `test_${randomUUID().slice(0, 8)}` })
      })
    ),
    layer
  )
