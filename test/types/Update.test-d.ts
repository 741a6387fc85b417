import type { Document } from "mongodb"
import { Long } from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as Filter from "../../src/Filter.js"
import * as Update from "../../src/Update.js"
import { Order } from "./Filter.test-d.js"

const Orders = Collection.make("orders", { schema: Order })

// What fits

void Orders.updateOne({}, {
  $set: { n: "a", "address.city": "b", "tags.0": "c", nick: "d", "labels.x": 1, anything: 2 }
})
void Orders.updateOne({}, { $set: { "items.$.sku": "a", "items.$[].count": 1, "items.$[one].notes.0": "a" } })
void Orders.updateOne({}, { $set: { "items.$[one].notes.$[two]": "a", "tags.$[one]": "b" } })
void Orders.updateOne({}, { $inc: { count: 1, "items.0.count": -1, total: Long.ONE }, $unset: { nick: "" } })
void Orders.updateOne({}, { $push: { tags: "a", items: { $each: [], $slice: -1, $sort: { count: 1 } } } })
void Orders.updateOne({}, { $pull: { tags: { $in: ["a"] }, items: { sku: "a", count: { $gt: 1 } } } })
void Orders.updateOne({}, { $addToSet: { tags: { $each: ["a"] } }, $pop: { tags: 1 }, $pullAll: { tags: ["a"] } })
void Orders.updateOne({}, { $currentDate: { born: true }, $setOnInsert: { _id: "a" }, $max: { count: 1 } })
void Orders.updateOne({}, [{ $set: { total: { $add: ["$a", 1] } } }])
void Orders.findOneAndUpdate({}, { $bit: { count: { and: 1 } }, $rename: { nick: "n" } }, { sort: { n: 1 } })

// What does not

void Orders.updateOne({}, {
  // @ts-expect-error no operator
  n: "a"
})
// @ts-expect-error no operator
void Orders.updateOne({}, {})
void Orders.updateOne({}, {
  // @ts-expect-error there is no such operator
  $sett: { n: "a" }
})
void Orders.updateOne({}, {
  $set: {
    // @ts-expect-error the name in the program, which is not that in the database
    name: "a"
  }
})
void Orders.updateOne({}, {
  $set: {
    // @ts-expect-error another type
    n: 5
  }
})
void Orders.updateOne({}, {
  $set: {
    // @ts-expect-error there may be nothing, but no null
    nick: null
  }
})
void Orders.updateOne({}, {
  $set: {
    // @ts-expect-error there is no such path
    "items.$.skuu": "a"
  }
})
void Orders.updateOne({}, {
  $set: {
    // @ts-expect-error another type
    "items.$[].count": "1"
  }
})
void Orders.updateOne({}, {
  $set: {
    // @ts-expect-error an update does not go through an array
    "items.count": 1
  }
})
void Orders.updateOne({}, {
  $inc: {
    // @ts-expect-error no number
    n: 1
  }
})
void Orders.updateOne({}, {
  $inc: {
    // @ts-expect-error no number
    count: "1"
  }
})
void Orders.updateOne({}, {
  $push: {
    // @ts-expect-error no array
    n: "a"
  }
})
void Orders.updateOne({}, {
  $push: {
    // @ts-expect-error an element has another type
    tags: 1
  }
})
void Orders.updateOne({}, {
  $addToSet: {
    // @ts-expect-error an element has another type
    tags: { $each: [1] }
  }
})
void Orders.updateMany({}, {
  $unset: {
    // @ts-expect-error there is no such field
    nickname: ""
  }
})
export const wrong: Parameters<typeof Orders.findOneAndUpdate>[1] = {
  $set: {
    // @ts-expect-error another type
    count: "1"
  }
}
void Orders.bulkWrite([{
  updateOne: {
    filter: {},
    update: {
      // @ts-expect-error there is no such field
      $set: { m: 1 }
    }
  }
}])

// The ways out

void Orders.updateOne({}, Update.unsafe({ $set: { anywhere: 1 } }))
const generic = <A, I extends Document>(collection: Collection.Collection<A, I>, _id: unknown) =>
  collection.updateOne(Filter.unsafe({ _id }), Update.unsafe({ $set: { at: new Date() } }))
void generic(Orders, "a")

const Raw = Collection.make("raw")
declare const document: Document
void Raw.updateOne({}, { $set: { "a.b": 1 }, $inc: { c: 1 }, $push: { d: 1 }, $unset: { e: 1 } })
void Raw.updateOne({}, document)
