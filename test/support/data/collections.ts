/**
 * Collections for tests of data access, with a record of their commands.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Collection from "../../../src/Collection.js"
import * as MongoClient from "../../../src/MongoClient.js"
import * as TestServer from "../server/testServer.js"
import * as Monitor from "../watch/monitor.js"

/** A document with a number, which is stored as text, so that it shows whether it was encoded and decoded. */
export const Thing = Schema.Struct({ _id: Schema.Number, n: Schema.NumberFromString })

/** The numbers from 0 on. */
export const numbers = (length: number): ReadonlyArray<number> => Array.from({ length }, (_, n) => n)

/** A collection of its own for a test, with documents `{ _id: 0, n: "0" }`, `{ _id: 1, n: "1" }` and so on. */
export const things = ({ client, monitor }: Monitor.Watched, count: number) =>
  Effect.gen(function*() {
    const database = yield* TestServer.database
    const raw = client.driver.db(database).collection<{ readonly _id: number; readonly n: string }>("things")
    if (count > 0) yield* Effect.promise(() => raw.insertMany(numbers(count).map((n) => ({ _id: n, n: String(n) }))))
    yield* monitor.clear
    return { database, raw, Things: Collection.make("things", { database, schema: Thing }) }
  })

/** Runs an effect with a watched client as the program's. */
export const on = ({ client }: Pick<Monitor.Watched, "client">) =>
<A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, MongoClient.MongoClient>> =>
  Effect.provideService(effect, MongoClient.MongoClient, client)

/** Runs a test with a watched client of its own as the program's. */
export const onClient = <A, E, R>(test: (watched: Monitor.Watched) => Effect.Effect<A, E, R>) =>
  Monitor.withClient({}, (watched) => on(watched)(test(watched)))

/** The names of all commands that went out, in order. */
export const sent = ({ monitor }: Pick<Monitor.Watched, "monitor">): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(monitor.commands, (commands) => commands.map(({ name }) => name))

/** The logical sessions that commands went out in, each once; `undefined` for none. */
export const lsids = (
  { monitor }: Pick<Monitor.Watched, "monitor">
): Effect.Effect<ReadonlyArray<string | undefined>> =>
  Effect.map(monitor.commands, (commands) => [...new Set(commands.map(({ lsid }) => lsid))])
