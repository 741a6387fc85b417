/**
 * A bank: accounts that money is moved between, and a ledger in which every transfer writes itself down.
 */
import * as Effect from "effect/Effect"
import type { ClientSession, Collection, MongoClient as DriverClient } from "mongodb"
import * as Session from "../../../src/Session.js"

interface Account {
  readonly _id: number
  readonly balance: number
}

/** Money that is moved from one account to another. */
export interface Transfer {
  readonly _id: number
  readonly from: number
  readonly to: number
  readonly amount: number
}

/** The bank's collections. */
export interface Bank {
  readonly accounts: Collection<Account>
  readonly ledger: Collection<Transfer>
}

/** What an account has at the beginning. */
export const initial = 1_000

/** Opens a bank. */
export const open = (driver: DriverClient, database: string, accounts: number): Effect.Effect<Bank> =>
  Effect.promise(async () => {
    const db = driver.db(database)
    const bank: Bank = { accounts: db.collection("accounts"), ledger: db.collection("ledger") }
    await bank.accounts.insertMany(Array.from({ length: accounts }, (_, _id) => ({ _id, balance: initial })))
    await db.createCollection("ledger")
    return bank
  })

/** Transfers between random accounts. */
export const randomTransfers = (count: number, accounts: number): ReadonlyArray<Transfer> =>
  Array.from({ length: count }, (_, _id) => {
    const from = Math.floor(Math.random() * accounts)
    const to = (from + 1 + Math.floor(Math.random() * (accounts - 1))) % accounts
    return { _id, from, to, amount: 1 + Math.floor(Math.random() * 20) }
  })

const move = ({ accounts }: Bank, _id: number, amount: number, session: ClientSession) =>
  accounts.updateOne({ _id }, { $inc: { balance: amount } }, { session })

/** Both sides of a transfer, as the driver does it. */
export const moveBoth = async (bank: Bank, { amount, from, to }: Transfer, session: ClientSession): Promise<void> => {
  await move(bank, from, -amount, session)
  await move(bank, to, amount, session)
}

/** Both sides of a transfer, in the ambient session. */
export const moveBothHere = (bank: Bank, { amount, from, to }: Transfer) =>
  Effect.zipRight(
    Session.use((session) => move(bank, from, -amount, session)),
    Session.use((session) => move(bank, to, amount, session))
  )

/** A transfer with its entry in the ledger, in the ambient session. */
export const transfer = (bank: Bank, one: Transfer) =>
  Effect.zipRight(moveBothHere(bank, one), Session.use((session) => bank.ledger.insertOne(one, { session })))

/** What the books say when all is over. */
export interface Books {
  /** All the money that there is. */
  readonly sum: number
  /** The transfers that have happened. */
  readonly applied: ReadonlySet<number>
  /** The accounts whose balance is not what the transfers in the ledger make it. */
  readonly wrong: ReadonlyArray<number>
}

/** Reads the books. */
export const books = ({ accounts, ledger }: Bank): Effect.Effect<Books> =>
  Effect.promise(async () => {
    const all = await accounts.find().toArray()
    const transfers = await ledger.find().toArray()
    const due = (account: number): number =>
      transfers.reduce(
        (sum, { amount, from, to }) => sum + (to === account ? amount : 0) - (from === account ? amount : 0),
        initial
      )
    return {
      sum: all.reduce((sum, { balance }) => sum + balance, 0),
      applied: new Set(transfers.map(({ _id }) => _id)),
      wrong: all.filter(({ _id, balance }) => balance !== due(_id)).map(({ _id }) => _id)
    }
  })
