/**
 * Patterns of `killAllSessionsByPattern`, and the check for those that the server would misread.
 */
import * as Predicate from "effect/Predicate"
import type { Document } from "mongodb"
import type { Issue } from "../../SessionErrors.js"
import { SessionId } from "../../SessionId.js"
import { toLsid } from "../driver/session.js"
import type { Lsid } from "./replies.js"

/**
 * A user, and the database that knows it.
 *
 * @since 0.1.0
 * @category models
 */
export interface User {
  readonly user: string
  readonly db: string
}

/**
 * A role, and the database that knows it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Role {
  readonly role: string
  readonly db: string
}

/**
 * Which sessions to kill: the one of an lsid, or all of one owner.
 *
 * `users` and `roles` do not say whose sessions are meant, in spite of the manual's words: they are those in whose name
 * the server kills (privilege `impersonate`), and a pattern that has nothing else would kill all sessions of everybody.
 * Hence they are no patterns by themselves. For the sessions of a user there is `killAllSessions`.
 *
 * @since 0.1.0
 * @category models
 */
export type Pattern =
  & (
    | { readonly lsid: Lsid; readonly uid?: undefined }
    | { readonly uid: Uint8Array; readonly lsid?: undefined }
  )
  & { readonly users?: ReadonlyArray<User> | undefined; readonly roles?: ReadonlyArray<Role> | undefined }

/**
 * What is wrong with a pattern. It also checks what types would exclude, for a slip kills other people's sessions.
 *
 * The server looks at `uid` if it is there, else at `lsid`; without either the pattern matches all sessions (its
 * `SessionKiller::Matcher`).
 */
export const issuesOf = (pattern: unknown, at: string): ReadonlyArray<Issue> => {
  if (!Predicate.isRecord(pattern)) return [{ path: [at], message: "expected a pattern" }]
  const { lsid, roles, uid, users } = pattern
  return [
    ...(lsid === undefined && uid === undefined
      ? [{ path: [at], message: "needs lsid or uid: without them it would match all sessions of everybody" }]
      : []),
    ...(lsid !== undefined && uid !== undefined
      ? [{ path: [at, "lsid"], message: "cannot go with uid, beside which the server ignores it" }]
      : []),
    ...(lsid === undefined || (Predicate.isRecord(lsid) && lsid.id instanceof SessionId)
      ? []
      : [{ path: [at, "lsid", "id"], message: "expected a session id" }]),
    ...(Predicate.isRecord(lsid) ? digestIssues(lsid.uid, [at, "lsid", "uid"]) : []),
    ...(uid === undefined ? [] : digestIssues(uid, [at, "uid"])),
    ...namesIssues(users, "user", [at, "users"]),
    ...namesIssues(roles, "role", [at, "roles"])
  ]
}

/** The pattern as commands carry it, without what else there may be: a listed session is a pattern too. */
export const toDocument = ({ lsid, roles, uid, users }: Pattern): Document => ({
  ...(lsid === undefined ? {} : { lsid: { ...toLsid(lsid.id), uid: lsid.uid } }),
  ...(uid === undefined ? {} : { uid }),
  ...(users === undefined ? {} : { users: users.map(toUser) }),
  ...(roles === undefined ? {} : { roles: roles.map(({ db, role }) => ({ role, db })) })
})

/** A user as commands carry it. */
export const toUser = ({ db, user }: User): User => ({ user, db })

const namesIssues = (given: unknown, name: "user" | "role", path: ReadonlyArray<string>): ReadonlyArray<Issue> => {
  const isName = (one: unknown) =>
    Predicate.isRecord(one) && typeof one[name] === "string" && typeof one["db"] === "string"
  return given === undefined || (Array.isArray(given) && given.every(isName))
    ? []
    : [{ path, message: `expected a list of { ${name}, db }` }]
}

const digestIssues = (uid: unknown, path: ReadonlyArray<string>): ReadonlyArray<Issue> =>
  uid instanceof Uint8Array && uid.length === 32 ? [] : [{ path, message: "expected a digest of 32 bytes" }]
