/**
 * What the operations of a test work on, by name.
 */
import type * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type * as Fiber from "effect/Fiber"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import type * as Collection from "../../src/Collection.js"
import type * as Database from "../../src/Database.js"
import type * as MongoClient from "../../src/MongoClient.js"
import type * as Session from "../../src/Session.js"
import type * as SessionErrors from "../../src/SessionErrors.js"
import type * as Transaction from "../../src/Transaction.js"
import type { Recorder } from "./events.js"
import type { Names } from "./matching.js"
import type { Tracing } from "./tracing.js"
import { Mismatch } from "./verdict.js"

/** What any operation of the library can fail with. */
export type Failure =
  | Collection.OperationError
  | SessionErrors.DecodeFailed
  | SessionErrors.TransactionError
  | Transaction.ManualError

/** A client, and what it does. */
export interface Client {
  readonly _tag: "client"
  readonly service: MongoClient.Service
  readonly recorder: Recorder
  /** Where the test observes its spans. */
  readonly tracing: Tracing | undefined
  readonly scope: Scope.CloseableScope
}

export interface DatabaseEntity {
  readonly _tag: "database"
  readonly client: Client
  readonly database: Database.Database
}

export interface CollectionEntity {
  readonly _tag: "collection"
  readonly client: Client
  readonly collection: Collection.Collection<Driver.Document, Driver.Document>
}

/** A session; where the library has refused to open it, each use of it fails with that refusal. */
export interface SessionEntity {
  readonly _tag: "session"
  readonly client: Client
  readonly opened: Either.Either<Session.Service, Failure>
  readonly lsid: Uint8Array | undefined
  readonly scope: Scope.CloseableScope
}

/** A cursor or a change stream. */
export interface CursorEntity {
  readonly _tag: "cursor"
  /** Sends one command at most; none when the cursor is exhausted. */
  readonly pull: Effect.Effect<ReadonlyArray<unknown>, Option.Option<Failure>>
  readonly buffer: Array<unknown>
  readonly scope: Scope.CloseableScope
}

/** A fiber that runs operations one after the other. */
export interface ThreadEntity {
  readonly _tag: "thread"
  last: Fiber.Fiber<void> | undefined
}

/** Where GridFS keeps files, which the library does not offer. */
export interface BucketEntity {
  readonly _tag: "bucket"
}

/** A value, saved from a result. */
export interface Value {
  readonly _tag: "value"
  readonly value: unknown
}

export type Entity =
  | Client
  | DatabaseEntity
  | CollectionEntity
  | SessionEntity
  | CursorEntity
  | ThreadEntity
  | BucketEntity
  | Value

/** The entities of a test. */
export interface Entities {
  readonly all: () => Iterable<Entity>
  /** Throws where the name is in use. */
  readonly add: (name: string, entity: Entity) => void
  /** Throws where there is none of that name. */
  readonly any: (name: string) => Entity
  /** Throws where there is none of that name and kind. */
  readonly get: <K extends Entity["_tag"]>(kind: K, name: unknown) => Extract<Entity, { readonly _tag: K }>
  readonly names: Names
}

export const make = (): Entities => {
  const entities = new Map<string, Entity>()
  const any = (name: string): Entity => {
    const found = entities.get(name)
    if (found === undefined) throw new Mismatch(`there is no entity ${name}`)
    return found
  }
  return {
    all: () => entities.values(),
    add: (name, entity) => {
      if (entities.has(name)) throw new Mismatch(`there are two entities ${name}`)
      entities.set(name, entity)
    },
    any,
    get: <K extends Entity["_tag"]>(kind: K, name: unknown) => {
      const found = any(String(name))
      if (found._tag !== kind) throw new Mismatch(`${String(name)} is not a ${kind}`)
      return found as Extract<Entity, { readonly _tag: K }>
    },
    names: {
      value: (name) => {
        const found = entities.get(name)
        return found?._tag === "value" ? found.value : undefined
      },
      lsid: (name) => {
        const found = entities.get(name)
        return found?._tag === "session" ? found.lsid : undefined
      }
    }
  }
}
