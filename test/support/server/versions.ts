/**
 * Skips tests that need a newer server.
 */
import * as Effect from "effect/Effect"
import type { TestContext } from "vitest"
import * as MongoServer from "../../../src/testing/MongoServer.js"
import { compareVersions } from "../../conformance/version.js"

/** What came with a version of MongoDB. */
export interface Since {
  readonly version: string
  readonly what: string
}

export const snapshotReads: Since = { version: "5.0", what: "snapshot reads" }

export const documentsStage: Since = { version: "5.1", what: "stages such as $documents" }

export const expandedEvents: Since = { version: "6.0", what: "expanded events" }

/** Whether the server has it. */
export const has = ({ version }: Pick<Since, "version">): Effect.Effect<boolean, never, MongoServer.MongoServer> =>
  Effect.map(MongoServer.MongoServer, (server) => compareVersions(server.version, version) >= 0)

/** Skips the test, with the reason, on a server that is too old to have it. */
export const needs = (
  context: TestContext,
  since: Since
): Effect.Effect<void, never, MongoServer.MongoServer> =>
  Effect.flatMap(MongoServer.MongoServer, ({ description }) =>
    Effect.map(has(since), (isThere) => {
      if (isThere) return
      const reason = `${description}: ${since.what} need MongoDB ${since.version}`
      context.task.meta.skipReason = reason
      context.skip(reason)
    }))
