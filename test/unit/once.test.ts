import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { decode, issuesOf } from "../../src/internal/once/options.js"
import { decide, idOf, type Record, take } from "../../src/internal/once/record.js"

const found = (fields: Partial<Record>): Record => ({
  _id: idOf("name", "key"),
  state: "succeeded",
  attempt: "one",
  at: new Date(0),
  ...fields
})

describe("what follows from what is found under a key", () => {
  it.each([
    ["nothing: the effect runs", null, "a", { _tag: "Run" }],
    ["a result: it is the answer", found({ value: 1 }), undefined, {
      _tag: "Answer",
      state: "succeeded",
      value: 1,
      attempt: "one"
    }],
    ["a failure: it is the answer", found({ state: "failed", value: "no" }), undefined, {
      _tag: "Answer",
      state: "failed",
      value: "no",
      attempt: "one"
    }],
    ["a run of the same transaction", found({ state: "running" }), undefined, { _tag: "Running" }],
    ["the same fingerprint", found({ fingerprint: "a" }), "a", {
      _tag: "Answer",
      state: "succeeded",
      value: undefined,
      attempt: "one"
    }],
    ["another fingerprint", found({ fingerprint: "b" }), "a", { _tag: "Reused" }],
    ["no fingerprint, where one is asked for", found({}), "a", { _tag: "Reused" }],
    ["another fingerprint, while it runs", found({ state: "running", fingerprint: "b" }), "a", { _tag: "Reused" }]
  ])("%s", (_, record, fingerprint, decision) => {
    expect(decide(record, fingerprint)).toEqual(decision)
  })

  it("a run of the same transaction that has no result to wait for", () => {
    expect(decide(found({}), undefined, new Set(["one"]))).toEqual({ _tag: "Running" })
    expect(decide(found({}), undefined, new Set(["another"]))).toMatchObject({ _tag: "Answer" })
    expect(decide(found({ fingerprint: "b" }), "a", new Set(["one"]))).toEqual({ _tag: "Reused" })
  })

  it("the update that takes a key reads no value as an expression", () => {
    const update = JSON.stringify(
      take({ state: "failed", attempt: "one", value: "$secret", timeToLive: Duration.seconds(1) })
    )
    expect(update).toContain("{\"$literal\":{\"state\":\"failed\",\"attempt\":\"one\",\"value\":\"$secret\"")
    expect(update).toContain("\"expiresAt\":{\"$add\":[\"$$NOW\",1000]}")
    expect(JSON.stringify(take({ state: "running", attempt: "one", timeToLive: undefined }))).not.toContain("expiresAt")
  })
})

describe("the options of what is run once", () => {
  const pathsOf = (decoded: Either.Either<unknown, { readonly issues: ReadonlyArray<{ readonly path: unknown }> }>) =>
    Either.match(decoded, { onLeft: ({ issues }) => issues.map(({ path }) => path), onRight: () => [] })

  it("keep keys for a week, and wait for ten seconds", () => {
    expect(Either.getOrThrow(decode("name", {}))).toEqual({ timeToLive: Duration.days(7), wait: Duration.seconds(10) })
  })

  it("keep keys for ever, where they say so", () => {
    expect(Either.getOrThrow(decode("name", { timeToLive: Duration.infinity })).timeToLive).toBeUndefined()
  })

  it.each<Duration.DurationInput>([0, 0n, "0 seconds", "0.0 millis", [0, 0], Duration.zero])(
    "wait not at all, where they say so: %s",
    (wait) => {
      expect(Either.getOrThrow(decode("name", { wait })).wait).toEqual(Duration.zero)
    }
  )

  it.each<readonly [string, string, object, ReadonlyArray<ReadonlyArray<string>>]>([
    ["a name with a slash", "a/b", {}, [["name"]]],
    ["no name", "", {}, [["name"]]],
    ["a name with half a surrogate pair, which is stored as any other is", "a\ud800", {}, [["name"]]],
    ["a time of nothing", "name", { timeToLive: 0 }, [["timeToLive"]]],
    ["an endless wait", "name", { wait: Duration.infinity }, [["wait"]]],
    ["a wait below zero", "name", { wait: -1 }, [["wait"]]],
    ["a wait below zero, as a text", "name", { wait: "-1 seconds" }, [["wait"]]],
    ["a wait below zero, in nanoseconds", "name", { wait: -1n }, [["wait"]]],
    ["a wait below zero, in two parts", "name", { wait: [-1, 0] }, [["wait"]]],
    ["a wait that is no number", "name", { wait: NaN }, [["wait"]]],
    ["an empty collection", "name", { collection: "" }, [["collection"]]],
    ["a misspelled option", "name", { timeToLife: 1 }, [["timeToLife"]]]
  ])("are refused: %s", (_, name, options, paths) => {
    expect(pathsOf(decode(name, options))).toEqual(paths)
  })

  it.each<readonly [string, string, object, ReadonlyArray<ReadonlyArray<string>>]>([
    ["no key", "", {}, [["key"]]],
    ["a key that is too long", "k".repeat(1025), {}, [["key"]]],
    ["a key with half of a character, which is stored as another", "a\ud83d", {}, [["key"]]],
    ["a key with half a surrogate pair", "\udc00\ud800", {}, [["key"]]],
    ["a fingerprint with half a surrogate pair", "key", { fingerprint: "a\udfff" }, [["fingerprint"]]],
    ["an option that once has not", "key", { verifyCommit: undefined, writeConcern: 1 }, [["verifyCommit"], [
      "writeConcern"
    ]]],
    ["an option of a transaction that is wrong", "key", { timeout: 0 }, [["timeout"]]],
    ["a misspelled option", "key", { fingerprints: "" }, [["fingerprints"]]]
  ])("of one run are refused: %s", (_, key, options, paths) => {
    expect(issuesOf(key, options).map(({ path }) => path)).toEqual(paths)
  })

  it("of one run may have whole pairs in key and fingerprint", () => {
    expect(issuesOf("\ud83d\ude00", { fingerprint: "\u{10ffff}" })).toEqual([])
  })
})
