/**
 * Which client is needed is what a call says. It is not inferred from where the result of the call goes.
 */
// These are what it is about.
// @effect-diagnostics missingEffectContext:off
import * as Effect from "effect/Effect"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Document } from "mongodb"
import { expectTypeOf } from "vitest"
import * as ChangeStream from "../../src/ChangeStream.js"
import * as Collection from "../../src/Collection.js"
import * as Cursor from "../../src/Cursor.js"
import * as Database from "../../src/Database.js"
import * as Lease from "../../src/Lease.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Once from "../../src/Once.js"
import * as Outbox from "../../src/Outbox.js"
import * as Session from "../../src/Session.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import * as Steps from "../../src/Steps.js"
import * as Transaction from "../../src/Transaction.js"

class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}

interface Settings {
  readonly settings: unique symbol
}

const client = { client: Analytics }
const Item = Schema.Struct({ _id: Schema.String })
type Item = typeof Item.Type

declare const runtime: ManagedRuntime.ManagedRuntime<Analytics, never>
declare const open: Parameters<typeof Cursor.stream<Document>>[0]
declare const run: (effect: Effect.Effect<unknown, unknown>) => void
declare const drain: (stream: Stream.Stream<unknown, unknown>) => void
declare const watching: (stream: ChangeStream.ChangeStream<Document, unknown>) => void

// Where nothing is provided

// @ts-expect-error no client
run(MongoClient.clientOf())
// @ts-expect-error no client
run(MongoClient.listDatabases())
// @ts-expect-error no client
run(MongoClient.bulkWrite([]))
// @ts-expect-error no client
drain(MongoClient.watch())
// @ts-expect-error no client
watching(MongoClient.watch())
// @ts-expect-error no client
drain(Cursor.stream(open))
// @ts-expect-error no client
run(Lease.leader("x", Effect.void))
// @ts-expect-error no client
run(Effect.scoped(Session.make()))
// @ts-expect-error no client
run(SessionCommands.refreshSessions([]))
// @ts-expect-error no client
run(Transaction.run(Effect.void))
// @ts-expect-error no client
run(Transaction.report())
// @ts-expect-error no client
void Effect.runPromise(MongoClient.listDatabases())
// @ts-expect-error no client
void Effect.runPromise(Lease.leader("x", Effect.void))
// @ts-expect-error no client
void Effect.runPromise(Stream.runDrain(Cursor.stream(open)))
// @ts-expect-error no client
void Effect.runPromise(Effect.map(MongoClient.listDatabases(), ({ databases }) => databases))

// Where another client is provided

// @ts-expect-error not the program's client
void runtime.runPromise(MongoClient.listDatabases())
// @ts-expect-error not the program's client
void runtime.runPromise(MongoClient.bulkWrite([]))
// @ts-expect-error not the program's client
void runtime.runPromise(Stream.runDrain(MongoClient.watch()))
// @ts-expect-error not the program's client
void runtime.runPromise(Lease.leader("x", Effect.void))
void runtime.runPromise(MongoClient.listDatabases(client))
void runtime.runPromise(MongoClient.bulkWrite([], client))
void runtime.runPromise(Stream.runDrain(MongoClient.watch([], client)))
void runtime.runPromise(Stream.runDrain(Cursor.stream(open, client)))
void runtime.runPromise(Lease.leader("x", Effect.void, client))
void runtime.runPromise(MongoClient.clientOf(client))

// What is made says which client it needs, whatever it is declared to be

interface Made {
  readonly lease: Lease.Lease<Analytics>
  readonly database: Database.Database<Analytics>
  readonly raw: Collection.Collection<Document, Document, never, Analytics>
  readonly typed: Collection.Collection<Item, Item, never, Analytics>
  readonly outbox: Outbox.Outbox<Document, never, Analytics>
  readonly mails: Outbox.Outbox<Item, never, Analytics>
  readonly once: Once.Once<void, never, never, Analytics>
  readonly placing: Once.Once<Item, never, never, Analytics>
  readonly steps: Steps.Steps<Analytics>
  readonly checkpoints: ReturnType<typeof ChangeStream.checkpoints<Analytics>>
}

export const made: Made = {
  lease: Lease.make("x", client),
  database: Database.make("x", client),
  raw: Collection.make("x", client),
  typed: Collection.make("x", { schema: Item, ...client }),
  outbox: Outbox.make("x", client),
  mails: Outbox.make("x", { schema: Item, ...client }),
  once: Once.make("x", client),
  placing: Once.make("x", { result: Item, ...client }),
  steps: Steps.make("x", { version: 1, ...client }),
  checkpoints: ChangeStream.checkpoints(client)
}

export const unlike: Made = {
  // @ts-expect-error not this client
  lease: Lease.make("x"),
  // @ts-expect-error not this client
  database: Database.make("x"),
  // @ts-expect-error not this client
  raw: Collection.make("x"),
  // @ts-expect-error not this client
  typed: Collection.make("x", { schema: Item }),
  // @ts-expect-error not this client
  outbox: Outbox.make("x"),
  // @ts-expect-error not this client
  mails: Outbox.make("x", { schema: Item }),
  // @ts-expect-error not this client
  once: Once.make("x"),
  // @ts-expect-error not this client
  placing: Once.make("x", { result: Item }),
  // @ts-expect-error not this client
  steps: Steps.make("x", { version: 1 }),
  // @ts-expect-error not this client
  checkpoints: ChangeStream.checkpoints()
}

// A thing of one client is none of another's, also where all of its methods have type parameters

declare const once: Once.Once<void, "sold out", Settings>
declare const steps: Steps.Steps
declare const step: Steps.Step

// @ts-expect-error it needs another client
export const onceOfAnother: Once.Once<void, "sold out", Settings, Analytics> = once
// @ts-expect-error it needs more
export const onceOfLess: Once.Once<void, "sold out"> = once
// @ts-expect-error it fails with more
export const onceWithoutFailure: Once.Once<void, never, Settings> = once
// @ts-expect-error it needs another client
export const stepsOfAnother: Steps.Steps<Analytics> = steps
// @ts-expect-error it needs another client
export const stepOfAnother: Steps.Step<Analytics> = step

// What is made has the plain type of the client

expectTypeOf(Lease.make("x")).toEqualTypeOf<Lease.Lease>()
expectTypeOf(Lease.make("x", client)).toEqualTypeOf<Lease.Lease<Analytics>>()
expectTypeOf(Database.make("x")).toEqualTypeOf<Database.Database>()
expectTypeOf(Database.make("x").collection("x")).toEqualTypeOf<Collection.Collection<Document, Document>>()
expectTypeOf(Collection.make("x")).toEqualTypeOf<Collection.Collection<Document, Document>>()
expectTypeOf(Collection.make("x", client)).toEqualTypeOf<Made["raw"]>()
expectTypeOf(Outbox.make("x")).toEqualTypeOf<Outbox.Outbox<Document>>()
expectTypeOf(Once.make("x")).toEqualTypeOf<Once.Once<void>>()
expectTypeOf(Steps.make("x", { version: 1 })).toEqualTypeOf<Steps.Steps>()
expectTypeOf(ChangeStream.checkpoints(client)).toEqualTypeOf<Made["checkpoints"]>()
