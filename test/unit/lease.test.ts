import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import { Int32, Long } from "mongodb"
import { decode } from "../../src/internal/lease/options.js"
import { decide } from "../../src/internal/lease/record.js"

describe("what follows from what an acquisition finds", () => {
  it.each([
    ["itself: it has the lease", { holder: "me", token: 3, remaining: 30_000 }, { _tag: "Held", token: 3 }],
    ["itself, in numbers of BSON", { holder: "me", token: Long.fromNumber(3), remaining: new Int32(1) }, {
      _tag: "Held",
      token: 3
    }],
    ["itself, in numbers of 64 bits", { holder: "me", token: 3n, remaining: 1n }, { _tag: "Held", token: 3 }],
    ["another: it is taken", { holder: "you", token: 3, remaining: 1500 }, {
      _tag: "Taken",
      remaining: Duration.millis(1500)
    }],
    ["another that is about to run out", { holder: "you", token: 3, remaining: -1 }, {
      _tag: "Taken",
      remaining: Duration.zero
    }]
  ])("%s", (_, found, decision) => {
    expect(decide(found, "me")).toEqual(decision)
  })
})

describe("the options of a lease", () => {
  it("hold it for half a minute", () => {
    expect(Either.getOrThrow(decode("name", {}))).toMatchObject({
      for: Duration.seconds(30),
      timeout: Duration.seconds(10)
    })
  })

  it.each<readonly [string, string, object, ReadonlyArray<ReadonlyArray<string>>]>([
    ["no name", "", {}, [["name"]]],
    ["a name with half of a character, which is stored as another", "a\ud83d", {}, [["name"]]],
    ["a name with half a surrogate pair", "\ud800", {}, [["name"]]],
    ["a time of nothing", "name", { for: 0 }, [["for"]]],
    ["a time longer than the server's longest", "name", { for: 2 ** 31 }, [["for"]]],
    ["an endless time", "name", { for: Duration.infinity }, [["for"]]],
    ["a renewal that comes too late", "name", { for: "1 second", renew: "1 second" }, [["renew"]]],
    ["a renewal that comes later than the default", "name", { renew: "1 minute" }, [["renew"]]],
    ["a renewal that is no time", "name", { renew: "often" }, [["renew"]]],
    ["a poll that is no Schedule", "name", { poll: "1 second" }, [["poll"]]],
    ["an empty collection", "name", { collection: "" }, [["collection"]]],
    ["a misspelled option", "name", { time: 1 }, [["time"]]]
  ])("are refused: %s", (_, name, options, paths) => {
    const decoded = decode(name, options)
    expect(Either.match(decoded, { onLeft: ({ issues }) => issues.map(({ path }) => path), onRight: () => [] }))
      .toEqual(paths)
  })

  it("take Schedules", () => {
    const decoded = Either.getOrThrow(decode("name", { renew: Schedule.stop, poll: Schedule.forever }))
    expect(decoded.renew).toBe(Schedule.stop)
    expect(decoded.poll).toBe(Schedule.forever)
  })
})
