/**
 * Starts servers for the tests of the test server, and finds what they leave behind.
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { MongoClient } from "mongodb"
import type { Document } from "mongodb"
import type * as MongoServer from "../../../src/testing/MongoServer.js"
import * as Processes from "../programs/processes.js"

/** The program that starts a server and holds it. */
export const holdServer = new URL("../programs/holdServer.ts", import.meta.url)

/** Says nothing while it starts. */
export const quiet: MongoServer.Options = { onProgress: () => Effect.void }

const named = process.env["MONGO_SERVER"]

/** The way that these tests take: that of the run, unless it is a server that runs already. */
export const which: MongoServer.Kind = named === "mongod" || named === "download" ? named : "wheel"

/** A server of this machine. */
export const own: MongoServer.Options = { ...quiet, which }

/** The same for a program. */
export const ownJson = (options: MongoServer.Options = {}): string => JSON.stringify({ which, ...options })

/** The variables of this run must not decide what a test sees. */
export const withVariables = (variables: Readonly<Record<string, string>>) =>
  Effect.withConfigProvider(
    ConfigProvider.fromMap(
      new Map(
        Object.entries({ ...process.env, MONGO_SERVER: "", MONGODB_URI: "", ...variables }).flatMap(
          ([name, value]): ReadonlyArray<[string, string]> => value === undefined ? [] : [[name, value]]
        )
      )
    )
  )

const client = (url: string): Effect.Effect<MongoClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new MongoClient(url, { serverSelectionTimeoutMS: 500 })),
    (client) => Effect.promise(() => client.close())
  )

/** What the driver has rejected a command with. */
export class Rejected extends Data.TaggedError("Rejected")<{ readonly message: string; readonly code?: unknown }> {}

/** Sends one command to the database `admin`. */
export const command = (url: string, name: string, options: Document = {}): Effect.Effect<Document, Rejected> =>
  Effect.scoped(Effect.flatMap(client(url), (client) =>
    Effect.tryPromise({
      try: () => client.db("admin").command({ [name]: 1, ...options }),
      catch: (error) =>
        new Rejected(error instanceof Error ? { ...error, message: error.message } : { message: String(error) })
    })))

/** What servers with their data below the folder have left there, and which of them run. */
export const leftIn = (folder: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function*() {
    const files = yield* Processes.entries(folder)
    return [
      ...files.filter((name) => name.startsWith("effect-mongo-") && !name.startsWith("effect-mongo-session-test")),
      ...yield* Processes.processesWith(`${folder}/effect-mongo-`)
    ]
  })
