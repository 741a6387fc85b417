/**
 * The operations of a session.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Session from "../../../src/Session.js"
import * as Transaction from "../../../src/Transaction.js"
import type { Failure, SessionEntity } from "../entities.js"
import { operations } from "../format.js"
import { timeoutOf, transaction } from "../options.js"
import { type Handlers, openedOf, type World } from "./call.js"

export const sessionOperations = ({ nested }: World): Handlers<SessionEntity> => ({
  abortTransaction: (session, { timeoutMS }) =>
    within(session, timeoutMS === undefined ? Transaction.abort : Transaction.abortWith(timeoutOf(timeoutMS))),
  commitTransaction: (session, { timeoutMS }) =>
    within(session, timeoutMS === undefined ? Transaction.commit : Transaction.commitWith(timeoutOf(timeoutMS))),
  endSession: ({ scope }) => Scope.close(scope, Exit.void),
  getSnapshotTime: (session) =>
    Effect.flatMap(openedOf(session), ({ snapshotTime }) => Effect.map(snapshotTime, Option.getOrUndefined)),
  startTransaction: (session, options) => within(session, Transaction.start(transaction(options))),
  withTransaction: (session, { callback, ...options }) =>
    Effect.flatMap(
      openedOf(session),
      (service) => Session.provide(Transaction.run(nested(operations(callback)), transaction(options)), service)
    )
})

const within = <A>(session: SessionEntity, effect: Effect.Effect<A, Failure, Session.Session>) =>
  Effect.flatMap(openedOf(session), (service) => Session.provide(effect, service))
