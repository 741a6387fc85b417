import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createRequire } from "node:module"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as MongoClient from "../../src/MongoClient.js"
import * as Child from "../../src/testing/internal/child.js"
import * as Vitest from "../../src/testing/vitest.js"

const suite = fileURLToPath(new URL("../support/programs/suite/", import.meta.url))
const vitest = Path.join(Path.dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs")

/** Runs the suite of a user, whose variables this run must not decide. */
const run = (env: Readonly<Record<string, string>>) => {
  const { VITEST: _, VITEST_MODE: __, VITEST_POOL_ID: ___, VITEST_WORKER_ID: ____, ...others } = process.env
  return Child.run({
    command: process.execPath,
    args: [vitest, "run", "-c", Path.join(suite, "vitest.config.ts"), "--no-color"],
    env: { ...others, ...env }
  })
}

describe("the setup of a user's suite", () => {
  it.scopedLive("starts one server for all files, each of which has a database of its own", () =>
    Effect.gen(function*() {
      const { ending, output } = yield* run({})
      assert.strictEqual(ending.code, 0, output.join("\n"))
      assert.isTrue(output.some((line) => /Tests {2}2 passed \(2\)/.test(line)), output.join("\n"))
      assert.lengthOf(output.filter((line) => /^test server: /.test(line)), 1)
    }))

  it.scopedLive("is missed with what to add", () =>
    Effect.gen(function*() {
      const { ending, output } = yield* run({ SETUP: "none" })
      assert.strictEqual(ending.code, 1)
      assert.match(output.join("\n"), /the vitest configuration starts no server/)
      assert.match(output.join("\n"), /to fix it: add `globalSetup: \["effect-mongo-session\/testing\/vitest"\]`/)
    }))

  it.scopedLive("gives a client a database of its own, also where that option is undefined", () =>
    Effect.gen(function*() {
      for (const options of [{}, { database: undefined }]) {
        const { database } = yield* Effect.provide(MongoClient.MongoClient, Vitest.layerClient(options))
        assert.match(String(database), /^test_/)
      }
    }))
})
