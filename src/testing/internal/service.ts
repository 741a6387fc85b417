/**
 * The service that a test uses, made from plain data, which may come from another process.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { KeeperLost } from "./keeper.js"
import { live } from "./live.js"
import * as Members from "./members.js"
import type { MemberPlan, Plan } from "./mongods.js"
import { hostOf } from "./mongods.js"
import type { Answers } from "./probe.js"
import { type WayFailed, withUser } from "./way.js"
import type { Credentials } from "./way.js"
import type { Found, Kind } from "./ways.js"

/**
 * What a server can do, so that a test that needs more is skipped with a reason. It is asked of the server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Features {
  /** Transactions over several documents: it is a replica set or a sharded cluster. */
  readonly transactions: boolean
  /** Change streams: likewise. */
  readonly changeStreams: boolean
  /** The fail point `failCommand`: test commands are enabled, and the user may use them. */
  readonly failCommand: boolean
}

/**
 * A member of a deployment that this library has started. What is done to it is undone when the scope closes: it runs
 * again with its data, and the set has a primary.
 *
 * Freezing and thawing need a POSIX system.
 *
 * @since 0.1.0
 * @category models
 */
export interface Member {
  /** Host and port, e.g. `127.0.0.1:27017`. */
  readonly address: string
  /** Kills it at once (SIGKILL), as a crash of its machine would. */
  readonly kill: Effect.Effect<void, MemberFailed, Scope.Scope>
  /** Stops it in order, at once: a primary does not wait for another to take over. */
  readonly stop: Effect.Effect<void, MemberFailed, Scope.Scope>
  /** Stops it if it runs, starts it again, and waits until the set has a primary if it can have one. */
  readonly restart: Effect.Effect<void, MemberFailed>
  /** Freezes it (SIGSTOP): its connections stay open, and nothing answers. */
  readonly freeze: Effect.Effect<void, MemberFailed, Scope.Scope>
  /** Lets it go on (SIGCONT), and waits until the set has a primary if it can have one. */
  readonly thaw: Effect.Effect<void, MemberFailed>
}

/**
 * A running server: a mongod, or a replica set of them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * The connection string. With access control it holds the password: a throw-away one, unless the server is the one that
   * `MONGODB_URI` names.
   */
  readonly url: string
  /** The connection string for another user, or for nobody: to test what the server refuses. */
  readonly urlAs: (credentials: Option.Option<Credentials>) => string
  /** The way by which it was found. */
  readonly kind: Kind
  /** The version of MongoDB, e.g. `6.0.5`. */
  readonly version: string
  /** What it is, for people: e.g. `MongoDB 6.0.5, 3 members`. */
  readonly description: string
  /** What it can do. */
  readonly features: Features
  /** Its members; none where `MONGODB_URI` names the server, for that is not a test's to disturb. */
  readonly members: ReadonlyArray<Member>
  /** The member that is primary now; waits for one. */
  readonly primary: Effect.Effect<Member, MemberFailed>
  /** Lets the primary step down. The scope lets it be elected again. {@link Service.primary} waits for the next. */
  readonly stepDown: Effect.Effect<void, MemberFailed, Scope.Scope>
  /** Plain data, with which another process of this machine can use the server: see {@link fromHandle}. */
  readonly handle: Handle
}

/**
 * A server as plain data, which can go to another process as JSON. It holds the password of a server with access control.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handle extends Pick<Service, "description" | "features" | "kind" | "url" | "version"> {
  /** How its members are reached and started again. */
  readonly plan: unknown
}

/**
 * Something could not be done to the members of a deployment.
 *
 * @since 0.1.0
 * @category errors
 */
export class MemberFailed extends Data.TaggedError("MemberFailed")<{
  /** What was tried, e.g. `killing mongod-0`. */
  readonly doing: string
  /** Why it failed. */
  readonly reason: string
}> {
  override get message(): string {
    return `${this.doing} failed: ${this.reason}`
  }
}

/**
 * The server that another process has started, from its {@link Service.handle}. It lives as long as that process wants.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromHandle = (handle: Handle): Service => {
  const { description, features, kind, url, version } = handle
  const plan = handle.plan as Plan | undefined
  const others = (doing: string) =>
    Effect.fail(new MemberFailed({ doing, reason: "the server runs already, and is not this program's to disturb" }))
  return {
    ...{ url, kind, version, description, features, handle },
    urlAs: (credentials) => withUser(url, credentials),
    members: plan === undefined ? [] : plan.members.map((member) => memberOf(plan, member)),
    primary: plan === undefined
      ? others(finding)
      : deed(finding)(Effect.map(Members.primary(plan), (primary) => memberOf(plan, primary))),
    stepDown: plan === undefined ? others(steppingDown) : deed(steppingDown)(Members.stepDown(plan))
  }
}

/** A server that was found, as the service. */
export const serviceOf = ({ answers, kind, plan, url }: Found): Service =>
  fromHandle({
    kind,
    url,
    version: answers.version,
    description: describe(answers),
    features: featuresOf(answers),
    plan
  })

const describe = ({ isReplicaSet, isSharded, members, version }: Answers): string => {
  const shape = isSharded
    ? ", sharded"
    : isReplicaSet
    ? `, ${members} member${members === 1 ? "" : "s"}`
    : ", standalone"
  return `MongoDB ${version}${shape}`
}

const featuresOf = ({ hasFailPoints, isReplicaSet, isSharded }: Answers): Features => ({
  transactions: isReplicaSet || isSharded,
  changeStreams: isReplicaSet || isSharded,
  failCommand: hasFailPoints
})

const finding = "looking for the primary"
const steppingDown = "letting the primary step down"

// deeds take real time, also where a TestClock is installed
const deed =
  (doing: string) => <A, R>(effect: Effect.Effect<A, WayFailed | KeeperLost, R>): Effect.Effect<A, MemberFailed, R> =>
    live(Effect.mapError(effect, ({ message }) => new MemberFailed({ doing, reason: message })))

const memberOf = (plan: Plan, member: MemberPlan): Member => ({
  address: hostOf(member),
  ...Members.deedsOf(plan, member, deed)
})
