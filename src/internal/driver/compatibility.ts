/**
 * Whether the driver has the names that it keeps to itself as this library needs them: checked before a client connects.
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import { toCause } from "./errors.js"
import { endImplicit, type Kinds, openImplicit, table } from "./privates.js"
import { secureRandom } from "./random.js"

/** An object of each kind, made by the driver; `undefined` for one that it lacks. */
export type Samples = { readonly [K in keyof Kinds]: unknown }

/** The names of all that the table has. */
export const names: ReadonlyArray<string> = Object.entries(table).flatMap(([kind, fields]) =>
  Object.keys(fields).map((field) => `${kind}.${field}`)
)

/** The names of the table that the samples lack, or have with another type. */
export const missing = (samples: Samples): ReadonlyArray<string> =>
  Object.entries<Readonly<Record<string, (value: unknown) => boolean>>>(table).flatMap(([kind, fields]) => {
    const sample = samples[kind as keyof Kinds]
    if (sample === unseen) return []
    return Object.entries(fields).flatMap(([field, isAsExpected]) =>
      Predicate.hasProperty(sample, field) && isAsExpected(sample[field]) ? [] : [`${kind}.${field}`]
    )
  })

/**
 * Makes one of everything on a client, passes it to a function, and closes it. Nothing is sent, and nothing stays in the
 * pool. Without a source of random numbers the driver cannot make a server session; opening a session fails later then.
 */
export const sampled = async <A>(client: Driver.MongoClient, look: (samples: Samples) => A): Promise<A> => {
  const session = openImplicit(client)
  const { signal } = new AbortController()
  const options = { session, signal, tailable: true, awaitData: true }
  const cursor = client.db("admin").collection("samples").find({}, options).map(identity)
  const stream = client.watch([], { session })
  try {
    return look({
      MongoClient: client,
      "MongoClient.s": fieldOf(client, "s"),
      ClientSessionOptions: session,
      ClientSession: session,
      "ClientSession.transaction": fieldOf(session, "transaction"),
      ServerSession: secureRandom()() ? session.serverSession : unseen,
      AbstractCursor: cursor,
      ChangeStream: stream,
      ChangeStreamCursor: fieldOf(stream, "cursor")
    })
  } finally {
    await cursor.close()
    await stream.close()
    endImplicit(session)
  }
}

// In place of a sample that cannot be made.
const unseen: unique symbol = Symbol("unseen")

const fieldOf = (owner: unknown, field: string): unknown =>
  Predicate.hasProperty(owner, field) ? owner[field] : undefined

/**
 * Fails with `Incompatible` if the driver of a client lacks a name of the table. The message names the driver's version
 * and what is missing.
 */
export const check = (client: Driver.MongoClient): Effect.Effect<void, MongoError> =>
  Effect.flatMap(
    Effect.catchAll(
      Effect.tryPromise({ try: () => sampled(client, missing), catch: (error) => toCause({ operation }, error) }),
      Effect.failCause
    ),
    (lacking) =>
      lacking.length === 0 ? Effect.void : Effect.flatMap(versionOf(client), (version) => refuse(version, lacking))
  )

const operation = "MongoClient"

const refuse = (version: string, lacking: ReadonlyArray<string>): MongoError =>
  new MongoError({
    reason: "Incompatible",
    operation: `${operation} (mongodb ${version} has no ${lacking.join(", ")} as this library needs it)`,
    labels: [],
    hint:
      "Install a version of mongodb that this version of the library was tested with, or a newer version of the library."
  })

// As the driver tells it to servers.
const versionOf = (client: Driver.MongoClient): Effect.Effect<string> =>
  Effect.map(
    // A promise in version 7.
    Effect.option(Effect.tryPromise(() => Promise.resolve(fieldOf(client.options, "metadata")))),
    (metadata) => {
      const version = fieldOf(fieldOf(Option.getOrUndefined(metadata), "driver"), "version")
      return typeof version === "string" ? version : "of an unknown version"
    }
  )
