/**
 * What a target is called, and what the driver takes of it: its collection, its concerns and its read preference.
 */
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import { invalid } from "../driver/errors.js"
import { type AsGiven, clientIn, inner, type MongoClient, type Service as Client } from "../session/client.js"
import * as Names from "../values/names.js"
import { withoutOwn } from "./options.js"
import { misnamedBy } from "./refused.js"
import type { Request, Target } from "./request.js"
import type * as Rules from "./rules.js"

/** What errors call a target: the database, or database and collection. */
export const namespaceOf = <C>(client: Client, { collection, database }: Target<C>): string => {
  const name = client[inner].databaseName(database)
  return collection === undefined ? name : `${name}.${collection}`
}

/** Hands over what errors call the target of an operation, and its client. */
export const withNamespace = <A, E, R, C = MongoClient>(
  target: Target<C>,
  use: (namespace: string, client: Client) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R | AsGiven<C>> =>
  Effect.withFiberRuntime((fiber) => {
    const client = clientIn(fiber, target)
    return use(namespaceOf(client, target), client)
  })

/** Fails an operation whose arguments are none that it takes. */
export const refuse = <C = MongoClient>(
  target: Target<C>,
  operation: string,
  hint: string
): Effect.Effect<never, MongoError, AsGiven<C>> =>
  withNamespace(target, (namespace) => Effect.fail(invalid(operation, hint, namespace)))

/** What is wrong with the names of what an operation works on, if anything. */
export const misnaming = <C>(
  client: Client,
  { collection, database }: Target<C>,
  { collection: other, name: operation }: Pick<Request, "collection" | "name">
): MongoError | undefined =>
  misnamedBy(Names.problemOf(client[inner].databaseName(database), collection, other), operation)

/** A new collection of the driver, the one that a target names. It holds the read concern that it is given. */
export const collectionOf = <I extends Driver.Document, C>(
  db: Driver.Db,
  { collection = "", readPreference, writeConcern }: Target<C>,
  { readConcern }: Pick<Driver.CollectionOptions, "readConcern">
): Driver.Collection<I> =>
  db.collection<I>(collection, withoutOwn<Driver.CollectionOptions>({ readConcern, readPreference, writeConcern }))

/** The write concern of a target, where the driver takes none from its collection, or only the client's from its database. */
export const concernOf = <C>({ writeConcern }: Target<C>) => writeConcern === undefined ? {} : { writeConcern }

/** The read preference of a database. */
export const preferenceOf = <C>({ readPreference }: Target<C>) => readPreference === undefined ? {} : { readPreference }

/** The write concerns that a write of a target may have besides its own. */
export const writeConcernsOf = <C>(target: Target<C>, client: Client): Rules.Place["writeConcerns"] => [
  { source: target.collection === undefined ? "database" : "collection", concern: target.writeConcern },
  { source: "client", concern: client.driver.options.writeConcern }
]
