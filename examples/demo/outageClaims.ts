/** Part 5: the proof that lost answers and the loss of the primary were survived. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Answers from "./answers.js"
import * as Books from "./books.js"
import { Mailbox } from "./Mailbox.js"
import * as Members from "./members.js"
import * as Monitor from "./Monitor.js"
import { heldBack, type Outage } from "./outage.js"
import { lostOnPurpose } from "./rush.js"
import * as Screen from "./Screen.js"
import { soon } from "./soon.js"
import { Tally } from "./Tally.js"

/** Checks it. */
export const check = (outage: Option.Option<Outage>) =>
  Effect.gen(function*() {
    const expected = (yield* lostOnPurpose) + (Option.isSome(outage) ? heldBack : 0)
    if (expected === 0) return
    yield* Screen.heading("5. The outage")
    yield* checkAnswers(outage, expected)
    if (Option.isNone(outage)) return
    const { firstCommitAfter, killed, onTheirWay, successor } = outage.value
    yield* Screen.check(
      `the primary was killed while ${onTheirWay} commits were on their way; another member committed ` +
        `${Screen.seconds(firstCommitAfter)} later`,
      onTheirWay >= heldBack && successor !== killed.host && Number.isFinite(firstCommitAfter)
    )
    const back = (yield* Members.running).find(({ host }) => host === killed.host)
    yield* Screen.check(
      `the killed member is back, as process ${back?.pid} instead of ${killed.pid}`,
      back !== undefined && back.pid !== killed.pid
    )
    yield* Screen.check(
      "all three members hold the same data",
      yield* soon(Members.digests, (digests) => digests.length === 3 && new Set(digests).size === 1)
    )
  })

/** Of each commit whose answer was lost it became clear what had become of it, and so it is. */
const checkAnswers = (outage: Option.Option<Outage>, expected: number) =>
  Effect.gen(function*() {
    const { told, verified } = yield* Effect.flatMap(Tally, ({ now }) => now)
    const commands = yield* Monitor.commands
    const { orders } = yield* Books.read
    const mails = yield* Effect.flatMap(Mailbox, ({ sent }) => sent)
    const lost = Answers.lost(commands)
    const unclear = Answers.unclear(commands).length
    const numberOf = (order: string) => ({
      orders: orders.filter(({ _id }) => _id === order).length,
      mails: mails.filter((mail) => mail === order).length
    })
    const isThereOnce = (order: string) => numberOf(order).orders === 1 && numberOf(order).mails === 1
    const isNowhere = (order: string) => numberOf(order).orders === 0 && numberOf(order).mails === 0
    const committed = lost.filter(({ settled }) => settled === "committed")
    const asked = lost.filter(({ settled }) => settled === "asked")
    const again = lost.filter(({ settled }) => settled === "notCommitted")
    const done = [...committed, ...asked]
    yield* Screen.check(
      `lost answers: ${unclear}, of ${lost.length} commits; ${done.length} of these had succeeded, and their orders ` +
        "are there, once, each with one e-mail",
      unclear >= expected && asked.length === verified.length && done.every(({ order }) => isThereOnce(order))
    )
    yield* Screen.check(
      `${again.length} had not, and ran again: the order is there, once, or the customer was told why not`,
      again.length >= (Option.isSome(outage) ? heldBack : 0) &&
        again.every(({ order }) => told.get(order) === "ordered" ? isThereOnce(order) : isNowhere(order))
    )
  })
