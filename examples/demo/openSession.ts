/** Step 1: opens a session and shows what it is. */
import { MongoClient, Session } from "effect-mongo-session"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Monitor from "./Monitor.js"
import * as Screen from "./Screen.js"

export const openSession = Effect.gen(function*() {
  yield* Screen.heading("1. A session is a resource of its scope")
  const client = yield* MongoClient.MongoClient
  const openBefore = yield* client.openSessions
  const session = yield* Session.make()
  const timeout = yield* client.sessionTimeout

  yield* Screen.fact("id", session.id.uuid)
  yield* Screen.fact(
    "timeout",
    `${Option.match(timeout, { onNone: () => "unknown", onSome: Duration.format })} without use`
  )
  yield* Screen.fact("state", yield* session.state)
  const options = Object.entries(session.options).filter(([, value]) => value !== undefined)
  yield* Screen.fact("options", options.slice(0, 3).map(([name, value]) => `${name}: ${value}`).join(", "))
  yield* Screen.fact("", options.slice(3).map(([name, value]) => `${name}: ${value}`).join(", "))

  const database = client.driver.db(client.database)
  const { sent } = yield* Monitor.during(
    session.use((driverSession) => database.command({ ping: 1 }, { session: driverSession }))
  )
  const openNow = yield* client.openSessions
  yield* Screen.check("the server tells how long it keeps an idle session", Option.isSome(timeout))
  yield* Screen.check("the client has one open session more than before", openNow - openBefore === 1)
  yield* Screen.check(
    "its first command carried its id",
    sent.length === 1 && sent[0]?.name === "ping" && sent[0].lsid === session.id.hex
  )
  return session
})
