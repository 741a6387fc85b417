/**
 * Transactions that append to lists and read them, in all forms in which transactions can be composed.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Collection from "../../../src/Collection.js"
import type * as MongoClient from "../../../src/MongoClient.js"
import * as Session from "../../../src/Session.js"
import * as Transaction from "../../../src/Transaction.js"
import * as Append from "../checker/append.js"
import type * as Dice from "../dice.js"
import * as Telling from "../telling.js"
import { clientOf, type Make, on, untilOver, type World } from "../world.js"

interface List {
  readonly _id: string
  readonly list?: Array<number>
}

const listsOf = ({ database }: World) =>
  Collection.make("lists", {
    database,
    schema: Schema.Struct({
      _id: Schema.String,
      list: Schema.optional(Schema.mutable(Schema.Array(Schema.Number)))
    })
  })

// So many are in use at a time; each is left for the next one when it has grown long.
const slots = 60
const longest = 60

/** Makes the workload, with so many fibers. */
export const make = (fibers: number): Make => (world) =>
  Effect.gen(function*() {
    const { calm, database } = world
    yield* Effect.promise(() => calm.db(database).createCollection("lists"))
    const log = new Log()
    return {
      name: "list-append",
      fibers: Array.from({ length: fibers }, (_, fiber) => working(world, log, fiber)),
      check: Effect.map(
        Effect.promise(() =>
          calm.db(database).collection<List>("lists", { readConcern: { level: "majority" } }).find().toArray()
        ),
        (lists) => {
          const final = new Map(lists.map(({ _id, list }) => [_id, list ?? []]))
          const { unknown, violations, writeSkews } = Append.check(log.history, final)
          world.tally.add("list-append: write skew, which snapshot isolation allows", writeSkews)
          world.tally.add("list-append: unknown, found committed", unknown.committed)
          world.tally.add("list-append: unknown, found not committed", unknown.aborted)
          return violations
        }
      )
    }
  })

class Log {
  readonly history: Array<Append.Transaction> = []
  readonly #issued = new Map<string, number>()
  #values = 0

  key(pool: string, slot: number): string {
    const name = `${pool}${slot}`
    const issued = (this.#issued.get(name) ?? 0) + 1
    this.#issued.set(name, issued)
    return `${name}.${Math.floor(issued / longest)}`
  }

  value(): number {
    return ++this.#values
  }

  note(fiber: number, told: Telling.Told, operations: ReadonlyArray<Append.Operation>): void {
    this.history.push({ id: `${fiber}/${this.history.length}`, operations, ...told })
  }
}

type Wanted = { readonly kind: "append"; readonly key: string; readonly value: number } | {
  readonly kind: "read"
  readonly key: string
}

const wanted = (log: Log, dice: Dice.Dice, pool: string): ReadonlyArray<Wanted> =>
  Array.from({ length: dice.between(1, 5) }, () => {
    const key = log.key(pool, dice.below(slots))
    return dice.chance(0.6) ? { kind: "append", key, value: log.value() } : { kind: "read", key }
  })

const working = (world: World, log: Log, fiber: number): Effect.Effect<void> => {
  const dice = world.dice(1, fiber)
  const once = Effect.suspend(() => one(world, log, dice, fiber))
  // Some of them in a session that lasts for a while.
  const some = Effect.suspend(() => dice.chance(0.5) ? Session.scoped(Effect.repeatN(once, 10)) : once).pipe(
    Effect.exit,
    Effect.map((exit) => void Telling.nameOf(world, "session", exit))
  )
  return on(clientOf(world, fiber))(untilOver(world, some))
}

const one = (world: World, log: Log, dice: Dice.Dice, fiber: number) =>
  Effect.suspend(() => {
    const Lists = listsOf(world)
    const shape = dice.below(100)
    const ops = wanted(log, dice, "k")
    const atOnce = dice.chance(0.1)
    let seen: Array<Append.Operation> = []
    const run = (operation: Wanted) =>
      operation.kind === "append"
        ? Effect.map(append(Lists, operation), () => void seen.push(operation))
        : Effect.map(Lists.findOne({ _id: operation.key }), (found) => {
          seen.push({ ...operation, list: Option.getOrUndefined(found)?.list ?? [] })
        })
    const all = (operations: ReadonlyArray<Wanted>) =>
      Effect.forEach(operations, run, { concurrency: atOnce ? "unbounded" : 1, discard: true })
    const [first, rest] = [ops.slice(0, ops.length >> 1), ops.slice(ops.length >> 1)]
    const composed: Effect.Effect<void, Telling.Tagged, MongoClient.MongoClient | Transaction.Transaction> = shape < 60
      ? all(ops)
      : shape < 75
      ? Effect.zipRight(all(first), Transaction.run(all(rest)))
      : shape < 85
      ? Effect.zipRight(Transaction.run(all(first), { propagation: "mandatory" }), all(rest))
      : shape < 95
      ? Effect.zipRight(Effect.zipRight(all(first), another(world, log, dice, fiber)), all(rest))
      : Effect.zipRight(Effect.zipRight(all(first), Transaction.outside(Lists.findOne({ _id: "k0.0" }))), all(rest))
    return Telling.transaction(world, {
      what: "list-append",
      ...Telling.whims(dice),
      body: Effect.suspend(() => {
        seen = []
        return composed
      }),
      // Of one that may not have come to its end, its appends are what counts.
      note: (told) =>
        log.note(fiber, told, told.outcome !== "aborted" && seen.length === ops.length ? seen : appendsOf(ops))
    })
  })

// A transaction of its own within another one. It keeps to other lists: the one around it would wait for it for ever.
const another = (world: World, log: Log, dice: Dice.Dice, fiber: number) =>
  Effect.suspend(() => {
    const Lists = listsOf(world)
    const ops = appendsOf(wanted(log, dice, `own${fiber}-`))
    return Telling.transaction(world, {
      what: "list-append, a transaction within",
      ...Telling.whims(dice),
      interrupted: undefined,
      propagation: "requiresNew",
      body: Effect.forEach(ops, (one) => append(Lists, one), { discard: true }),
      note: (told) => log.note(fiber, told, ops)
    })
  })

const append = (
  lists: ReturnType<typeof listsOf>,
  { key, value }: { readonly key: string; readonly value: number }
) => lists.updateOne({ _id: key }, { $push: { list: value } }, { upsert: true })

const appendsOf = (ops: ReadonlyArray<Wanted>) => ops.flatMap((one) => one.kind === "append" ? [one] : [])
