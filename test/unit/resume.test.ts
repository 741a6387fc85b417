import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Timestamp } from "mongodb"
import * as Resume from "../../src/internal/changes/position.js"
import * as Backoff from "../../src/internal/transaction/backoff.js"
import { MongoError } from "../../src/MongoError.js"
import { ResumeToken } from "../../src/ResumeToken.js"
import { SessionEnded } from "../../src/SessionErrors.js"

const error = (fields: Partial<ConstructorParameters<typeof MongoError>[0]>) =>
  new MongoError({ reason: "Other", operation: "getMore", labels: [], ...fields })

const time = new Timestamp({ t: 1700000000, i: 1 })
const token = { _data: "82" }
const given = { _data: "81" }

describe("a change stream is resumed", () => {
  it.each([
    ["a session that has ended", new SessionEnded({ operation: "getMore", reason: "broken" })],
    ["a lost place", error({ reason: "ChangeStreamLost", code: 286 })],
    ["a killed cursor", error({ reason: "CursorLost", code: 237 })],
    ["a lack of rights", error({ reason: "Unauthorized", code: 13 })],
    ["a closed client", error({ reason: "ConnectionClosed" })],
    ["an operation that was given up", error({ reason: "Interrupted" })],
    ["an expired time limit", error({ reason: "TimedOut", code: 50 })],
    ["a server's error that only looks like the network's", error({ reason: "NetworkError", code: 8 })],
    ["a label of something else", error({ labels: ["TransientTransactionError"] })]
  ])("not after %s", (_, failure) => {
    expect(Resume.isResumable(failure, 8)).toBe(false)
    expect(Resume.isResumable(failure, 9)).toBe(false)
  })

  it.each([
    ...["NetworkError", "ServerSelectionFailed", "PoolFailure", "NotPrimary", "Overloaded", "TimedOut"] as const
  ])("after %s without any answer of a server", (reason) => {
    expect(Resume.isResumable(error({ reason }), 8)).toBe(true)
    expect(Resume.isResumable(error({ reason }), 9)).toBe(true)
  })

  // The specification's list for servers that put no label on them.
  it.each([
    ...[43, 6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436, 63, 150, 13388, 234, 133]
  ])("after the server's error %d", (code) => {
    expect(Resume.isResumable(error({ code }), 8)).toBe(true)
    // Those that put a label on them mean no others.
    expect(Resume.isResumable(error({ code }), 9)).toBe(code === 43)
    expect(Resume.isLostOnTheWay(error({ code }))).toBe(true)
  })

  it("after any error with the label for it", () => {
    expect(Resume.isResumable(error({ code: 4711, labels: ["ResumableChangeStreamError"] }), 9)).toBe(true)
  })
})

describe("the history of a change stream", () => {
  it.each([
    ["a place that the oplog has no more", 286, true],
    ["a place that is none", 260, true],
    ["a place that its pipeline has changed", 280, false],
    ["an error of its pipeline", 40573, false]
  ])("by %s: is lost: %s %s", (_, code, isLost) => {
    const lost = error({ reason: code === 40573 ? "NotSupported" : "ChangeStreamLost", code })
    expect(Resume.isHistoryLost(Resume.ofStream(lost))).toBe(isLost)
  })

  it("is lost with what its cursor was reading, which is told with its cause", () => {
    const cause = new Error("CollectionScan died")
    const told = Resume.ofStream(error({ reason: "CursorLost", code: 136, cause }))
    expect(told).toMatchObject({ reason: "ChangeStreamLost", code: 136, operation: "getMore" })
    expect(told.cause).toBe(cause)
    expect(Resume.isHistoryLost(told)).toBe(true)
  })
})

describe("the place where it is resumed", () => {
  it("is where it was told to begin, when nothing has come", () => {
    for (const at of [{ resumeAfter: given }, { startAfter: given }, { startAtOperationTime: time }]) {
      expect(Resume.opened(at, { operationTime: time, postBatchResumeToken: token })).toEqual(at)
      expect(Resume.advanced(at, {}, undefined)).toEqual(at)
      expect(Resume.advanced(at, { postBatchResumeToken: null }, undefined)).toEqual(at)
    }
  })

  it("is the time at which it was opened, when it was told nothing and the server gives no token", () => {
    expect(Resume.opened({}, { operationTime: time })).toEqual({ startAtOperationTime: time })
    expect(Resume.opened({}, { operationTime: time, postBatchResumeToken: null }))
      .toEqual({ startAtOperationTime: time })
    expect(Resume.opened({}, {})).toEqual({})
  })

  it("is the server's token, which it prefers to the time", () => {
    expect(Resume.opened({}, { operationTime: time, postBatchResumeToken: token })).toEqual({ resumeAfter: token })
  })

  it("moves on with empty batches, and stays one to start after while nothing has come", () => {
    const answer = { postBatchResumeToken: token }
    expect(Resume.advanced({ startAtOperationTime: time }, answer, undefined)).toEqual({ resumeAfter: token })
    expect(Resume.advanced({ resumeAfter: given }, answer, undefined)).toEqual({ resumeAfter: token })
    expect(Resume.advanced({ startAfter: given }, answer, undefined)).toEqual({ startAfter: token })
  })

  it("is after the last event, or after the server's token for the batch", () => {
    const last = { _id: { _data: "83" } }
    expect(Resume.advanced({ startAfter: given }, {}, last)).toEqual({ resumeAfter: last._id })
    expect(Resume.advanced({ startAfter: given }, { postBatchResumeToken: token }, last)).toEqual({
      resumeAfter: token
    })
  })

  it("is after an event by which another stream has ended, if a program says so", () => {
    expect(Resume.after(new ResumeToken(token))).toEqual({ startAfter: token })
  })
})

describe("the delays before it is resumed", () => {
  it.effect("double from 50 ms to 10 s, a fifth more or less, and never end", () =>
    Effect.gen(function*() {
      const { next } = Backoff.make(Resume.backoff)
      for (let n = 0; n < 200; n++) {
        const delay = Duration.toMillis(Option.getOrThrow(yield* next(undefined)))
        const middle = Math.min(50 * 2 ** n, 10_000)
        expect(delay).toBeGreaterThanOrEqual(middle * 0.8 - 1)
        expect(delay).toBeLessThanOrEqual(middle * 1.2 + 1)
      }
    }))
})
