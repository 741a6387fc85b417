/**
 * A program of the driver alone that writes a document in a transaction, says so, and holds it until it is killed. Arguments:
 * URL, database, its name, and the id of the document.
 */
import { MongoClient } from "mongodb"

const [url = "", database = "", appName = "", _id = ""] = process.argv.slice(2)

const client = new MongoClient(url, { appName })
const session = client.startSession()
session.startTransaction()
await client.db(database).collection<{ _id: string; n: number }>("accounts").updateOne(
  { _id },
  { $inc: { n: 1 } },
  { session }
)
// Its sockets keep the process alive.
process.stdout.write("written\n")
