/**
 * Several mongods as one deployment: the replica set's configuration, its states, its users.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Document } from "mongodb"
import * as Admin from "./admin.js"
import type { MemberPlan, Plan } from "./mongods.js"
import { hostOf, setName, tlsOptions } from "./mongods.js"
import type { Credentials, Wanted } from "./way.js"
import { WayFailed } from "./way.js"

/** Makes the members a set that has a primary, and the user that access control is to know. */
export const form = (plan: Plan, wanted: Wanted): Effect.Effect<void, WayFailed> =>
  Effect.gen(function*() {
    const [first] = plan.members
    if (first === undefined) return
    if (plan.isReplicaSet) {
      yield* Admin.withMember(plan, first, configure(plan))
      yield* untilWhole(plan)
    }
    const { credentials } = wanted
    if (Option.isSome(credentials)) {
      const primary = Option.getOrElse(yield* primaryOf(plan), () => first)
      yield* Admin.withMember(plan, primary, addUser(credentials.value))
    }
  }).pipe(Effect.timeoutFail({
    duration: wanted.startTimeout,
    onTimeout: () =>
      new WayFailed({
        reason: "the replica set had no primary in time",
        fix: "give a longer `startTimeout`"
      })
  }))

/** The connection string, without a user. */
export const urlOf = (plan: Plan): string => {
  const hosts = plan.members.map(hostOf).join(",")
  const options = { ...(plan.isReplicaSet ? { replicaSet: setName } : {}), ...tlsOptions(plan) }
  const query = new URLSearchParams(
    Object.entries(options).map(([name, value]): [string, string] => [name, String(value)])
  ).toString()
  return `mongodb://${hosts}/${query === "" ? "" : `?${query}`}`
}

/** The member that is primary now, if there is one. */
export const primaryOf = (plan: Plan): Effect.Effect<Option.Option<MemberPlan>> =>
  Effect.map(states(plan), (all) => {
    const [newest] = primaries(all).sort((one, other) => electionOf(other.hello).localeCompare(electionOf(one.hello)))
    return Option.map(Option.fromNullable(newest), ({ member }) => member)
  })

/**
 * Waits until there is a primary, and all members that answer follow it, or until most members don't answer. The one
 * that is back, if any, has to be among those that answer.
 */
export const untilSettled = (plan: Plan, back?: MemberPlan): Effect.Effect<void> =>
  until(plan, (all) =>
    (back === undefined || all.some(({ member }) => member.name === back.name)) &&
    (all.length * 2 <= plan.members.length || isWhole(all)))

// right after the start all members answer: there is no other way to be settled
const untilWhole = (plan: Plan): Effect.Effect<void> =>
  until(plan, (all) => all.length === plan.members.length && isWhole(all))

const until = (plan: Plan, isWanted: (all: ReadonlyArray<State>) => boolean): Effect.Effect<void> =>
  Effect.asVoid(Effect.repeat(states(plan), { until: isWanted, schedule: Schedule.spaced("50 millis") }))

// One that was primary and was frozen believes for a moment that it still is: then there are two, and the newer election
// counts.
const primaries = (all: ReadonlyArray<State>): Array<State> =>
  all.filter(({ hello }) => hello["isWritablePrimary"] === true)

// The primary is asked, too: it may not have heard yet of a member that is back, nor that it has stepped down, nor a
// majority of what it wrote.
const isWhole = (all: ReadonlyArray<State>): boolean => {
  const [primary, ...others] = primaries(all)
  return primary !== undefined && others.length === 0 &&
    all.every(({ member }) =>
      primary.status["members"].some(({ name, state }: Document) =>
        name === hostOf(member) && state === (member === primary.member ? primaryState : secondaryState)
      )
    )
}

const primaryState = 1
const secondaryState = 2

interface State {
  readonly member: MemberPlan
  readonly hello: Document
  readonly status: Document
}

const electionOf = (hello: Document): string => String(hello["electionId"])

// what does not answer has no state
const states = (plan: Plan): Effect.Effect<ReadonlyArray<State>> =>
  Effect.map(
    Effect.forEach(
      plan.members,
      (member) =>
        Admin.withMember(plan, member, (send) =>
          Effect.all({
            member: Effect.succeed(member),
            hello: send({ hello: 1 }),
            status: send({ replSetGetStatus: 1 })
          })).pipe(Effect.option),
      { concurrency: "unbounded" }
    ),
    (all) => all.flatMap(Option.toArray)
  )

const configure = ({ members }: Plan) => (send: Admin.Send): Effect.Effect<void, WayFailed> => {
  const config = {
    _id: setName,
    members: members.map((member, index) => ({ _id: index, host: hostOf(member) })),
    // a primary that is gone is missed after two seconds instead of ten
    settings: { electionTimeoutMillis: 2000, heartbeatIntervalMillis: 500 }
  }
  const elect = send({ replSetStepUp: 1 }).pipe(
    Effect.retry(Schedule.spaced("50 millis")),
    // the set elects a primary by itself, later
    Effect.timeoutOption("3 seconds"),
    Effect.orElseSucceed(() => Option.none()),
    Effect.unless(() => members.length === 1)
  )
  return send({ replSetInitiate: config }).pipe(
    Effect.asVoid,
    Effect.catchIf(({ code }) => code === alreadyInitialized, () => moveTo(config, send)),
    Effect.zipRight(elect),
    Effect.asVoid
  )
}

const alreadyInitialized = 23

// data of an earlier run, when the members had other ports
const moveTo = (config: Document, send: Admin.Send): Effect.Effect<void, WayFailed> =>
  Effect.gen(function*() {
    const { config: old } = yield* send({ replSetGetConfig: 1 })
    const isSame = JSON.stringify(hosts(old)) === JSON.stringify(hosts(config))
    if (isSame) return
    const moved = old["members"].map((member: Document, index: number) => ({ ...member, host: hosts(config)[index] }))
    yield* send({ replSetReconfig: { ...old, version: Number(old["version"]) + 1, members: moved }, force: true })
  })

const hosts = (config: Document): ReadonlyArray<string> => config["members"].map(({ host }: Document) => host)

const addUser = ({ password, username }: Credentials) => (send: Admin.Send): Effect.Effect<void, WayFailed> => {
  const user = { pwd: password, roles: ["root"] }
  return send({ createUser: username, ...user }).pipe(
    // data of an earlier run have the user, perhaps with another password
    Effect.orElse(() => send({ updateUser: username, ...user })),
    Effect.asVoid
  )
}
