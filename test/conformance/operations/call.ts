/**
 * What the operations of all entities have in common.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import * as MongoClient from "../../../src/MongoClient.js"
import * as Session from "../../../src/Session.js"
import type { Client, Entities, Failure, SessionEntity } from "../entities.js"
import type { Operation } from "../format.js"
import type { Server } from "../server.js"

/** An effect of the library: what it needs is the client. */
export type Library<A = unknown> = Effect.Effect<A, Failure, MongoClient.MongoClient>

/** An operation of an entity, with the arguments of the test but the session. */
export type Handler<Target> = (target: Target, args: Driver.Document) => Library

/** The operations of a kind of entity, by the format's name for them. */
export type Handlers<Target> = Readonly<Record<string, Handler<Target>>>

/** The test that an operation belongs to. */
export interface World {
  readonly server: Server
  readonly entities: Entities
  /** The names of fail points that are set. */
  readonly failPoints: Set<string>
  readonly create: (entities: unknown) => Effect.Effect<void, Failure>
  /** Runs operations of the test, in order; dies where one is not as expected. */
  readonly all: (operations: ReadonlyArray<Operation>) => Effect.Effect<void>
  /** The same, but what an operation fails with, expected or not, is failed with. */
  readonly nested: (operations: ReadonlyArray<Operation>) => Effect.Effect<void, Failure>
}

/** Runs an effect of the library on a client, in the session that the test names, or in none. */
export const placed = <A, E>(
  effect: Effect.Effect<A, E, MongoClient.MongoClient>,
  client: Client,
  session: SessionEntity | undefined
): Effect.Effect<A, E | Failure> =>
  Effect.provideService(
    client.tracing === undefined
      ? inSession(effect, session)
      : Effect.withTracer(inSession(effect, session), client.tracing.tracer),
    MongoClient.MongoClient,
    client.service
  )

const inSession = <A, E>(
  effect: Effect.Effect<A, E, MongoClient.MongoClient>,
  session: SessionEntity | undefined
): Effect.Effect<A, E | Failure, MongoClient.MongoClient> =>
  session === undefined
    ? Session.detached<A, E, MongoClient.MongoClient>(effect)
    : Effect.flatMap(openedOf(session), (service) => Session.provide(effect, service))

/** The session of an entity. */
export const openedOf = ({ opened }: SessionEntity): Effect.Effect<Session.Service, Failure> =>
  Either.isRight(opened) ? Effect.succeed(opened.right) : Effect.fail(opened.left)

/** All that a stream gives. */
export const collect = <A, E, R>(stream: Stream.Stream<A, E, R>): Effect.Effect<ReadonlyArray<A>, E, R> =>
  Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)

/** A result without the fields that the driver sets to null where there is nothing to tell. */
export const withoutNulls = (result: object): Driver.Document =>
  Object.fromEntries(Object.entries(result).filter(([, value]) => value !== null))
