/**
 * Lets a plan of faults happen to a set.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { MongoClient } from "mongodb"
import * as FailPoint from "../../src/testing/FailPoint.js"
import type * as MongoServer from "../../src/testing/MongoServer.js"
import type { Tally } from "../support/watch/tally.js"
import { codeOf, type Fault, type Plan } from "./faults.js"
import { appName, type StormSet } from "./set.js"
import { isClient, type Rule, Sky } from "./sky.js"

type Deed = Effect.Effect<void, MongoServer.MemberFailed | FailPoint.FailPointFailed, Scope.Scope>

/** Lets the faults happen. When it is interrupted, or has ended, the set is whole again. */
export const run = (
  set: StormSet,
  { heavy, light }: Plan,
  tally: Tally
): Effect.Effect<void> =>
  Effect.scoped(Effect.gen(function*() {
    const clients = yield* Effect.forEach(set.members, ({ member }) => unconnected(member.address))
    const sky = new Sky(set.members)
    const one = (fault: Fault): Effect.Effect<void> =>
      Effect.scoped(Effect.gen(function*() {
        yield* Effect.sleep(fault.after)
        const member = fault.member === "primary" ? yield* primaryOf(set) : fault.member
        yield* begin(fault, member, { set, sky, clients })
        tally.add(fault.kind)
        yield* Effect.sleep(fault.lasts)
      })).pipe(
        // A member that is down, or a set in disorder, takes no further fault, or is not mended in time.
        Effect.catchAllCause((cause) =>
          Cause.isInterruptedOnly(cause) ? Effect.interrupt : Effect.sync(() => tally.add(`${fault.kind}: not done`))
        )
      )
    yield* Effect.all([Effect.forEach(heavy, one), Effect.forEach(light, one)], { concurrency: 2 })
  }))

/** Starts members that are down: where others have the processors, what should have brought them back runs out of time. */
export const revive = (set: StormSet, tally: Tally): Effect.Effect<void> =>
  Effect.forEach(set.members, ({ member }) =>
    Effect.scoped(Effect.gen(function*() {
      const client = yield* unconnected(member.address)
      const isUp = yield* Effect.isSuccess(Effect.tryPromise(() => client.db("admin").command({ ping: 1 })))
      if (isUp) return
      tally.add("brought back")
      yield* Effect.orDie(Effect.retry(member.restart, { times: 2 }))
    })), { discard: true })

// It connects when it is used: where the processors are busy, that takes its time.
const unconnected = (address: string) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      new MongoClient(`mongodb://${address}/?directConnection=true`, {
        appName: "storm-nemesis",
        serverSelectionTimeoutMS: 2000
      })
    ),
    (client) => Effect.promise(() => client.close())
  )

const primaryOf = ({ members, server }: StormSet) =>
  Effect.map(server.primary, ({ address }) => members.findIndex(({ member }) => member.address === address))

interface Means {
  readonly set: StormSet
  readonly sky: Sky
  readonly clients: ReadonlyArray<MongoClient>
}

const begin = (fault: Fault, number: number, { clients, set, sky }: Means): Deed => {
  const { member, port } = set.members[number]!
  const { command, kind, size } = fault
  const onAll = (rule: Rule): Deed =>
    Effect.forEach(set.members, (_, index) => sky.rule(index, rule), { discard: true })
  const apart = (others: Rule["weather"]): Deed =>
    Effect.forEach(set.members, (_, index) =>
      sky.rule(index, {
        weather: (source) =>
          source.member !== undefined && source.member !== set.members[index]!.port &&
            (index === number || source.member === port)
            ? { isHeld: true }
            : index === number
            ? others?.(source) ?? {}
            : {}
      }), { discard: true })
  const failing = (options: Omit<FailPoint.Options, "failCommands" | "appName">): Deed =>
    FailPoint.failCommand(clients[number]!, {
      failCommands: [command],
      appName,
      mode: { times: 1 + size % 5 },
      ...options
    })
  const cutting = (at: "request" | "reply"): Deed => {
    // All of them now and then, so that the driver's own second try is cut, too.
    let left = size > 70 ? Number.POSITIVE_INFINITY : 1 + size % 3
    return onAll({ cutAt: (source, name) => isClient(source) && name === command && left-- > 0 ? at : undefined })
  }
  switch (kind) {
    case "kill":
      return member.kill
    case "stop":
      return member.stop
    case "freeze":
      return member.freeze
    case "step down":
      return set.server.stepDown
    case "partition from members":
      return apart(undefined)
    case "partition from all":
      return apart((source) => ({ isHeld: isClient(source) }))
    case "half-open":
      return sky.rule(number, { weather: (source) => ({ isHeld: isClient(source) }) })
    case "delay":
      return onAll({ weather: (source) => isClient(source) ? { delay: () => Math.random() * size } : {} })
    case "slow drip":
      return sky.rule(number, { weather: (source) => isClient(source) ? { drip: 16 + size } : {} })
    case "refuse":
      return sky.rule(number, { weather: (source) => ({ isRefused: isClient(source) }) })
    case "cut before the request":
      return cutting("request")
    case "cut before the reply":
      return cutting("reply")
    case "fail point: error":
      return failing({ errorCode: codeOf(fault) })
    case "fail point: closed connection":
      return failing({ closeConnection: true })
    case "fail point: blocked":
      return failing({ blockFor: 10 * size })
    case "fail point: write concern error":
      return failing({ writeConcernError: { code: 91, errmsg: "the server shuts down" } })
  }
}
