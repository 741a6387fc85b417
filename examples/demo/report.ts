/** Part 3: what happened, and what the library did about it. */
import type { Telemetry } from "effect-mongo-session"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Answers from "./answers.js"
import * as Books from "./books.js"
import * as Monitor from "./Monitor.js"
import type { Outage } from "./outage.js"
import * as Screen from "./Screen.js"
import * as Shop from "./shop.js"
import { byName, Tally } from "./Tally.js"

/** Tells it. */
export const tell = (time: Duration.Duration, outage: Option.Option<Outage>) =>
  Effect.gen(function*() {
    yield* Screen.heading("3. What happened")
    const { retries, told, verified } = yield* Effect.flatMap(Tally, ({ now }) => now)
    const { orders } = yield* Books.read
    const commands = yield* Monitor.commands
    const rate = (number: number) => Screen.count(Math.round(number / Duration.toSeconds(time)))
    const retried = (step: Telemetry.Retry["step"]) => {
      const ofStep = retries.filter((retry) => retry.step === step)
      const why = byName(ofStep.map(({ reason }) => reason))
      return `${Screen.count(ofStep.length)}${why === "" ? "" : ` (${why})`}`
    }

    yield* Screen.fact("ends", byName(told.values()))
    yield* Screen.fact("retries", `whole transactions: ${retried("body")}`)
    yield* Screen.fact("", `commits alone: ${retried("commit")}`)
    yield* Screen.fact("attempts", `${Math.max(...orders.map(({ attempt }) => attempt))} for one order, at most`)
    if (Option.isSome(outage)) {
      const { backAfter, electedAfter, firstCommitAfter } = outage.value
      yield* Screen.fact(
        "outage",
        `${Screen.seconds(firstCommitAfter)} from the kill to the next commit; the client had found the new primary ` +
          `after ${Screen.seconds(electedAfter)}, and the killed member was back after ${Screen.seconds(backAfter)}`
      )
    }
    const settled = Answers.lost(commands).map(({ settled }) => settled)
    const numberOf = (how: Answers.Lost["settled"]) => settled.filter((one) => one === how).length
    if (settled.length > 0) {
      yield* Screen.fact(
        "answers",
        `${settled.length} commits lost theirs. They were sent again, by the driver or the library. The server then said of ` +
          `${numberOf("committed")} that they are committed, and of ${
            numberOf("notCommitted")
          } that they are not: the ` +
          `whole ran again. Of ${numberOf("asked")} it could not tell.`
      )
    }
    if (verified.length > 0) {
      const said = byName(verified.map((isCommitted) => isCommitted ? "committed" : "not committed"))
      yield* Screen.fact("", `verifyCommit, asked about those, said: ${said}.`)
    }
    yield* Screen.fact(
      "speed",
      `${rate(Shop.checkouts)} checkouts and ${rate(commands.length)} commands a second, for ${
        Math.round(Duration.toSeconds(time))
      } s`
    )
  })
