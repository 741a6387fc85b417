/**
 * What lists of commands hold: ids, users, and patterns of `killAllSessionsByPattern`; and the checks for those that the
 * server would misread.
 */
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import type { Document } from "mongodb"
import type { Issue, SessionMisconfigured } from "../../SessionErrors.js"
import { SessionId } from "../../SessionId.js"
import { toLsid } from "../driver/session.js"
import { below, reading } from "../values/options.js"
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

/** What the items of a list are checked for, and how commands carry them. */
export interface Form<A> {
  readonly issuesOf: (item: unknown, at: string) => ReadonlyArray<Issue>
  readonly toDocument: (item: A) => Document
}

/** The items of a list as commands carry them. It is read once: what is not a list in memory may be read once only. */
export const documentsOf = <A>(
  items: Iterable<A>,
  { issuesOf, toDocument }: Form<A>,
  at?: string
): Either.Either<ReadonlyArray<Document>, SessionMisconfigured> =>
  reading(() => {
    const inside = (issues: ReadonlyArray<Issue>) => at === undefined ? issues : below(at, issues)
    if (!Predicate.isIterable(items)) return Either.left(inside([{ path: [], message: "expected a list" }]))
    const given = Array.from(items)
    const issues = inside(given.flatMap((item, index) => issuesOf(item, String(index))))
    return issues.length === 0 ? Either.right(given.map(toDocument)) : Either.left(issues)
  })

/** A session by its id. */
export const ofId: Form<SessionId> = {
  issuesOf: (id, at) => id instanceof SessionId ? [] : [{ path: [at], message: "expected a session id" }],
  toDocument: toLsid
}

/** A user. */
export const ofUser: Form<User> = {
  issuesOf: (user, at) => isNamed(user, "user") ? [] : [{ path: [at], message: "expected { user, db }" }],
  toDocument: ({ db, user }) => ({ user, db })
}

/**
 * What is wrong with a pattern. It also checks what types would exclude, for a slip kills other people's sessions.
 *
 * The server looks at `uid` if it is there, else at `lsid`; without either the pattern matches all sessions (its
 * `SessionKiller::Matcher`).
 */
const issuesOf = (pattern: unknown, at: string): ReadonlyArray<Issue> => {
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

// Without what else there may be: a listed session is a pattern too.
const toDocument = ({ lsid, roles, uid, users }: Pattern): Document => ({
  ...(lsid === undefined ? {} : { lsid: { ...toLsid(lsid.id), uid: lsid.uid } }),
  ...(uid === undefined ? {} : { uid }),
  ...(users === undefined ? {} : { users: users.map(ofUser.toDocument) }),
  ...(roles === undefined ? {} : { roles: roles.map(({ db, role }) => ({ role, db })) })
})

/** A pattern. */
export const ofPattern: Form<Pattern> = { issuesOf, toDocument }

const namesIssues = (given: unknown, name: "user" | "role", path: ReadonlyArray<string>): ReadonlyArray<Issue> =>
  given === undefined || (Array.isArray(given) && given.every((one) => isNamed(one, name)))
    ? []
    : [{ path, message: `expected a list of { ${name}, db }` }]

const isNamed = (one: unknown, name: "user" | "role"): boolean =>
  Predicate.isRecord(one) && typeof one[name] === "string" && typeof one["db"] === "string"

const digestIssues = (uid: unknown, path: ReadonlyArray<string>): ReadonlyArray<Issue> =>
  uid instanceof Uint8Array && uid.length === 32 ? [] : [{ path, message: "expected a digest of 32 bytes" }]
