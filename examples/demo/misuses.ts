/** Step 5: six misuses, and the errors that they get. */
import { MongoClient, Session, type SessionErrors } from "effect-mongo-session"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Reader } from "./clients.js"
import * as Monitor from "./Monitor.js"
import * as Screen from "./Screen.js"

export const misuses = Effect.gen(function*() {
  yield* Screen.heading("5. Six misuses, and what they get")
  const { sent } = yield* Monitor.during(Effect.gen(function*() {
    yield* expect("SessionMisconfigured", "options that are wrong or exclude each other", misconfigured)
    yield* expect("SessionEnded", "a session that left its scope", outOfScope)
    yield* expect("SessionBusy", "two operations at once, with onBusy: \"fail\"", twoAtOnce)
    yield* expect("UnacknowledgedWrite", "a write that nobody acknowledges", unacknowledged)
    yield* expect("ForeignSession", "an operation of one client in the session of another", foreign)
    yield* Screen.say("For the next one, the clock that the program reads is set forward by 31 minutes.")
    yield* expect("SessionLapsed", "a session that nobody kept alive", lapsed)
  }))
  const names = sent.map(({ name }) => name).filter((name) => name !== "refreshSessions")
  yield* Screen.check(
    "none was sent to the server, only the ping that kept the busy session busy",
    names.length === 1 && names[0] === "ping"
  )
})

type Misuse = SessionErrors.AcquireError | SessionErrors.UseError | SessionErrors.ForeignSession

/** Shows the error of an attempt that must fail with the given tag. */
const expect = <A, R>(tag: Misuse["_tag"], what: string, attempt: Effect.Effect<A, Misuse, R>) =>
  Effect.matchEffect(attempt, {
    onSuccess: () => Screen.check(`${what}: ${tag}`, false),
    onFailure: (error) =>
      Effect.gen(function*() {
        yield* Screen.check(`${what}: ${error._tag}`, error._tag === tag)
        yield* Screen.fact("", error.message)
        yield* Screen.fact("    hint", "hint" in error ? error.hint : "none")
      })
  })

const ping = (session: Session.Service, operation = "ping") =>
  session.use(
    (driverSession) =>
      session.client.driver.db(session.client.database).command({ ping: 1 }, { session: driverSession }),
    { operation }
  )

const misconfigured = Effect.scoped(
  Session.make({ snapshot: true, causalConsistency: true, settleTimeout: 0, defaultTransactionOptions: {} })
)

const outOfScope = Effect.flatMap(Effect.scoped(Session.make()), (session) => ping(session))

const twoAtOnce = Effect.scoped(Effect.gen(function*() {
  const session = yield* Session.make({ onBusy: "fail" })
  yield* Effect.all([ping(session, "first ping"), ping(session, "second ping")], { concurrency: 2 })
}))

const unacknowledged = Effect.gen(function*() {
  const { database, driver } = yield* MongoClient.MongoClient
  const orders = driver.db(database).collection("orders", { writeConcern: { w: 0 } })
  yield* Session.use((session) => orders.insertOne({ number: 0 }, { session }), { operation: "insertOne" })
}).pipe(Session.scoped())

const foreign = Session.current({ client: Reader }).pipe(Session.scoped())

const lapsed = Effect.scoped(Effect.gen(function*() {
  const session = yield* Session.make({ keepAlive: false })
  yield* Effect.withClock(ping(session), yield* clockSetForwardBy("31 minutes"))
}))

const clockSetForwardBy = (time: Duration.DurationInput) =>
  Effect.map(Effect.clock, (clock): Clock.Clock => ({
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + Duration.toMillis(time),
    unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos() + Duration.unsafeToNanos(time),
    currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + Duration.toMillis(time)),
    currentTimeNanos: Effect.map(clock.currentTimeNanos, (now) => now + Duration.unsafeToNanos(time)),
    sleep: clock.sleep
  }))
