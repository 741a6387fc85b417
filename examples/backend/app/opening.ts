// The shop before it opens: its indexes, and something to sell. Every instance does it, and only the first finds work to do.
import { Effect } from "effect"
import { Placed } from "./Orders.js"
import { Customers, Paid } from "./Payments.js"
import { Products } from "./Stock.js"

const goods = [
  ["beans", "Espresso beans, 1 kg", 1_890],
  ["cup", "Cup “Luna”", 1_250],
  ["filter", "Filter paper, 100 pieces", 390],
  ["grinder", "Hand grinder", 7_900],
  ["kettle", "Kettle with a gooseneck", 6_450],
  ["press", "French press, 1 l", 3_490],
  ["scale", "Scale with a timer", 4_200],
  ["tamper", "Tamper, 58 mm", 2_780]
] as const

export const openShop = Effect.gen(function*() {
  yield* Placed.createIndexes([{ key: { at: -1 } }, { key: { customer: 1, at: -1 } }])
  // A transaction need not create it then.
  yield* Paid.createIndex({ customer: 1 })
  for (const [_id, name, price] of goods) {
    yield* Products.updateOne({ _id }, { $setOnInsert: { name, price, stock: 1_000 } }, { upsert: true })
  }
  for (const name of ["Ada", "Barbara", "Grace", "Hedy"]) {
    yield* Customers.updateOne({ _id: name.toLowerCase() }, { $setOnInsert: { name, balance: 1_000_000 } }, {
      upsert: true
    })
  }
})
