/**
 * What the networks of a set are like: the rules that hold for each at a moment, whoever has set them.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Proxy from "../support/server/proxy.js"
import { appName, type Member } from "./set.js"

/** What a rule does to a connection. */
export interface Rule {
  readonly weather?: (source: Proxy.Source) => Proxy.Weather
  readonly cutAt?: (source: Proxy.Source, command: string) => Proxy.Cut | undefined
}

/** Whether a connection is one of a client of the storm. */
export const isClient = (source: Proxy.Source): boolean => source.appName === appName && source.member === undefined

/** The networks of a set. */
export class Sky {
  readonly #members: ReadonlyArray<{ readonly of: Member; readonly rules: Set<Rule> }>

  constructor(members: ReadonlyArray<Member>) {
    this.#members = members.map((of) => ({ of, rules: new Set() }))
  }

  /** Lets a rule hold for the network of a member until the scope closes. */
  rule(member: number, rule: Rule): Effect.Effect<void, never, Scope.Scope> {
    const { of, rules } = this.#members[member]!
    const all = <A>(each: (rule: Rule) => A | undefined): Array<A> =>
      [...rules].flatMap((rule) => {
        const one = each(rule)
        return one === undefined ? [] : [one]
      })
    const apply = Effect.zipRight(
      of.network.weather((source) => Object.assign({}, ...all((rule) => rule.weather?.(source)))),
      of.network.cutAt((source, command) => all((rule) => rule.cutAt?.(source, command))[0])
    )
    return Effect.acquireRelease(
      Effect.zipRight(Effect.sync(() => rules.add(rule)), apply),
      () => Effect.zipRight(Effect.sync(() => rules.delete(rule)), apply)
    )
  }
}
