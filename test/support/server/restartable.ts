/**
 * A server that a test may kill and start again with its data.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as MongoServer from "../../../src/testing/MongoServer.js"
import { own } from "./ownServer.js"

/** A server with a place of its own. */
export interface Restartable {
  /** What it is; its URL stays the same. */
  readonly server: MongoServer.Service
  /** Kills it, as a crash of its machine would. The scope starts it again. */
  readonly kill: Effect.Effect<void, MongoServer.MemberFailed, Scope.Scope>
  /** Starts it again with the data that it has left. */
  readonly start: Effect.Effect<void, MongoServer.MemberFailed>
}

/** Starts a server; the scope stops it and removes its data. */
export const make: Effect.Effect<Restartable, MongoServer.MongoServerUnavailable, Scope.Scope> = Effect.map(
  MongoServer.make(own),
  (server) => {
    const [member] = server.members
    if (member === undefined) throw new Error("a server of its own has a member")
    return { server, kill: member.kill, start: member.restart }
  }
)
