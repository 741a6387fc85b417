/**
 * A bank in a storm: transfers, which write themselves down, and auditors, who count the money.
 */
import * as Effect from "effect/Effect"
import * as Session from "../../../src/Session.js"
import * as Bank from "../../support/transactions/bank.js"
import type { Violation } from "../checker/violation.js"
import * as Telling from "../telling.js"
import { clientOf, type Make, on, untilOver } from "../world.js"

const accounts = 160
const money = accounts * Bank.initial
const majority = { readConcern: { level: "majority" } } as const

/** Makes the workload, with so many fibers, the last of which audits. */
export const make = (fibers: number): Make => (world) =>
  Effect.gen(function*() {
    const { calm, database, dice, tally, violated } = world
    const calmBank = yield* Bank.open(calm, database, accounts)
    const told = new Map<number, Telling.Told>()
    let next = 0

    const transferring = (fiber: number) => {
      const choice = dice(2, fiber)
      const client = clientOf(world, fiber)
      const db = client.driver.db(database)
      const bank: Bank.Bank = { accounts: db.collection("accounts"), ledger: db.collection("ledger") }
      const once = Effect.suspend(() => {
        const _id = next++
        const from = choice.below(accounts)
        const to = (from + choice.between(1, accounts - 1)) % accounts
        // Half of them look into the books when it is not known whether a commit happened.
        const verifyCommit = Effect.map(
          Effect.tryPromise(() =>
            client.driver.db(database).collection<Bank.Transfer>("ledger", majority).findOne({ _id })
          ),
          (entry) => {
            tally.add(`bank, verified: ${entry === null ? "not " : ""}committed`)
            return entry !== null
          }
        )
        const isVerified = choice.chance(0.5)
        return Telling.transaction(world, {
          what: isVerified ? "bank, verified" : "bank",
          ...Telling.whims(choice),
          verifyCommit: isVerified ? verifyCommit : undefined,
          body: Bank.transfer(bank, { _id, from, to, amount: choice.between(1, 20) }),
          note: (one) => void told.set(_id, one)
        })
      })
      return on(client)(untilOver(world, once))
    }
    const auditing = on(clientOf(world, 0))(untilOver(
      world,
      Session.use((session) => calmRead(session)).pipe(
        Session.scoped({ snapshot: true, timeout: "10 seconds" }),
        Effect.exit,
        Effect.map((exit) => {
          tally.add(`bank, audit: ${Telling.nameOf(world, "audit", exit)}`)
          if (exit._tag === "Success" && exit.value !== money) violated("money", `an audit has found ${exit.value}`)
        }),
        Effect.zipLeft(Effect.sleep("100 millis"))
      )
    ))
    const calmRead = async (session: Parameters<Parameters<typeof Session.use>[0]>[0]): Promise<number> => {
      const { driver } = clientOf(world, 0)
      const all = await driver.db(database).collection<{ balance: number }>("accounts").find({}, { session }).toArray()
      return all.reduce((sum, { balance }) => sum + balance, 0)
    }
    return {
      name: "bank",
      fibers: [...Array.from({ length: fibers - 1 }, (_, fiber) => transferring(fiber)), auditing],
      check: Effect.map(Bank.books(calmBank), ({ applied, sum, wrong }) => {
        const violations: Array<Violation> = []
        if (sum !== money) violations.push({ anomaly: "money", detail: `${sum} in the end` })
        if (wrong.length > 0) violations.push({ anomaly: "books", detail: `accounts ${wrong.join(", ")}` })
        for (const [_id, { outcome, why }] of told) {
          const isThere = applied.has(_id)
          if (outcome === "unknown") tally.add(`bank: unknown, found ${isThere ? "" : "not "}committed`)
          else if (isThere !== (outcome === "committed")) {
            violations.push({
              anomaly: "outcome",
              detail: `transfer ${_id}: told ${outcome} (${why}), ${isThere ? "" : "not "}there`
            })
          }
        }
        return violations
      })
    }
  })
