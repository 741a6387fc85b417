import type * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Document } from "mongodb"
import { expectTypeOf } from "vitest"
import * as ChangeStream from "../../src/ChangeStream.js"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Outbox from "../../src/Outbox.js"
import type { ResumeToken } from "../../src/ResumeToken.js"
import type * as Session from "../../src/Session.js"
import type { ConsumerReplaced, DecodeFailed, HandlingFailed, TransactionError } from "../../src/SessionErrors.js"
import * as Transaction from "../../src/Transaction.js"

class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}

interface Settings {
  readonly settings: unique symbol
}

declare const User: Schema.Schema<
  { readonly _id: number; readonly born: Date },
  { readonly _id: number; readonly born: string },
  Settings
>
type User = typeof User.Type

const Users = Collection.make("users", { schema: User })
const Elsewhere = Collection.make("users", { schema: User, client: Analytics })

// a change stream is a stream of events, and needs the client and what the schema needs

const changes = Users.watch()
expectTypeOf(changes).toExtend<
  Stream.Stream<ChangeStream.Event<User>, ChangeStream.WatchError, Settings | MongoClient.MongoClient>
>()
expectTypeOf<Stream.Stream.Context<typeof changes>>().toEqualTypeOf<Settings | MongoClient.MongoClient>()
const elsewhere = Elsewhere.watch()
expectTypeOf<Stream.Stream.Context<typeof elsewhere>>().toEqualTypeOf<Settings | Analytics>()
const _raw = Database.make("shop").watch()
expectTypeOf<Stream.Stream.Success<typeof _raw>>().toEqualTypeOf<ChangeStream.Event<Document>>()
expectTypeOf<Stream.Stream.Context<typeof _raw>>().toEqualTypeOf<MongoClient.MongoClient>()

// its events are told apart by their tags

declare const event: ChangeStream.Event<User>
if (event._tag === "update") {
  expectTypeOf(event.fullDocument).toEqualTypeOf<Option.Option<User>>()
  expectTypeOf(event.updateDescription.removedFields).toEqualTypeOf<ReadonlyArray<string>>()
}
if (event._tag === "delete") {
  expectTypeOf(event.unavailable).toEqualTypeOf<ReadonlyArray<"fullDocument" | "fullDocumentBeforeChange">>()
}
expectTypeOf(event.document).toEqualTypeOf<Document>()
expectTypeOf(event.resumeToken).toEqualTypeOf<ResumeToken>()
// @ts-expect-error not every event is about a document
void event.fullDocument

// documents that can't be decoded

const _eithers = Users.watch([], { onInvalid: "either" })
expectTypeOf<Stream.Stream.Success<typeof _eithers>>()
  .toEqualTypeOf<ChangeStream.Event<Either.Either<User, DecodeFailed>>>()
const _skipping = Users.watch([], { onInvalid: "skip" })
expectTypeOf<Stream.Stream.Success<typeof _skipping>>().toEqualTypeOf<ChangeStream.Event<User>>()
// @ts-expect-error a value that the option does not have
void Users.watch([], { onInvalid: "ignore" })
// @ts-expect-error the session is the ambient one
void Users.watch([], { session: undefined })

// what begins elsewhere is the same stream

declare const token: ResumeToken
expectTypeOf(ChangeStream.after(changes, token)).toEqualTypeOf(changes)
expectTypeOf(changes.pipe(ChangeStream.after(token))).toEqualTypeOf(changes)

// what is opened needs nothing more

expectTypeOf(ChangeStream.opened(changes)).toEqualTypeOf<
  Effect.Effect<
    Stream.Stream<ChangeStream.Event<User>, ChangeStream.WatchError>,
    ChangeStream.WatchError,
    Settings | MongoClient.MongoClient | Scope.Scope
  >
>()

// consuming: the handler runs in a session and a transaction, all else that it needs and fails with is passed on

declare const handler: (
  event: ChangeStream.Event<User>
) => Effect.Effect<number, "refused", "Mailer" | Session.Session | Transaction.Transaction>

type Consumed = Effect.Effect<
  void,
  HandlingFailed<"refused"> | ChangeStream.WatchError | ChangeStream.ConsumeError,
  "Mailer" | Settings | MongoClient.MongoClient
>
expectTypeOf(ChangeStream.consume(changes, "consumer", handler)).toEqualTypeOf<Consumed>()
expectTypeOf(ChangeStream.consume(changes, "consumer", handler, { batch: 10 })).toEqualTypeOf<Consumed>()
expectTypeOf(changes.pipe(ChangeStream.consume("consumer", handler))).toEqualTypeOf<Consumed>()
declare const copy: Effect.Effect<number, "copy failed", "Warehouse" | Session.Session>
const _copying = ChangeStream.consume(changes, "consumer", handler, { onLost: copy })
expectTypeOf<Effect.Effect.Context<typeof _copying>>()
  .toEqualTypeOf<"Mailer" | "Warehouse" | Settings | MongoClient.MongoClient>()
expectTypeOf<Extract<Effect.Effect.Error<typeof _copying>, string>>().toEqualTypeOf<"copy failed">()
void ChangeStream.consume(changes, "consumer", handler, {
  transaction: { writeConcern: { w: "majority", wtimeout: "1 second" } }
})
// @ts-expect-error a commit that a failover may roll back
void ChangeStream.consume(changes, "consumer", handler, { transaction: { writeConcern: { w: 3 } } })
const _dead = ChangeStream.deadLetters(changes, "consumer")
expectTypeOf(_dead.drop("id")).toExtend<Effect.Effect<boolean, unknown, Settings | MongoClient.MongoClient>>()
expectTypeOf(ChangeStream.checkpoints({ client: Analytics })).toEqualTypeOf<ChangeStream.Checkpoints<Analytics>>()
expectTypeOf<ConsumerReplaced | TransactionError>().toExtend<ChangeStream.ConsumeError>()
expectTypeOf<Effect.Effect.Context<ReturnType<typeof _consumeElsewhere>>>()
  .toEqualTypeOf<"Mailer" | Settings | Analytics>()
const _consumeElsewhere = () => ChangeStream.consume(elsewhere, "consumer", handler)
// @ts-expect-error an ordinary stream can't be consumed, for nobody could begin it elsewhere
void ChangeStream.consume(Users.find(), "consumer", handler)

// an outbox

const Mails = Outbox.make("mails", { schema: User })
expectTypeOf(Mails).toEqualTypeOf<Outbox.Outbox<User, Settings>>()
expectTypeOf(Outbox.make("mails")).toEqualTypeOf<Outbox.Outbox<Document>>()
expectTypeOf(Outbox.make("mails", { schema: User, client: Analytics }))
  .toEqualTypeOf<Outbox.Outbox<User, Settings, Analytics>>()
expectTypeOf(Outbox.make("numbers", { schema: Schema.NumberFromString }).publish).parameters.toEqualTypeOf<[number]>()

declare const user: User
expectTypeOf(Mails.publish(user)).toEqualTypeOf<
  Effect.Effect<string, Outbox.PublishError, Transaction.Transaction | MongoClient.MongoClient | Settings>
>()
expectTypeOf(Transaction.run(Mails.publish(user))).toEqualTypeOf<
  Effect.Effect<string, Outbox.PublishError | TransactionError, MongoClient.MongoClient | Settings>
>()
expectTypeOf(Mails.relay((_: Outbox.Delivery<User>) => handler(event))).toEqualTypeOf<
  Stream.Stream<
    Outbox.Delivery<User>,
    HandlingFailed<"refused"> | Outbox.RelayError,
    "Mailer" | Settings | MongoClient.MongoClient | Session.Session | Transaction.Transaction
  >
>()
expectTypeOf<HandlingFailed<"refused">["error"]>().toEqualTypeOf<"refused" | DecodeFailed>()
void Mails.relay(() => handler(event), { concurrency: 4, orderBy: ({ message }) => message._id })
// @ts-expect-error what does not fit the schema
void Mails.publish({ _id: 1 })
