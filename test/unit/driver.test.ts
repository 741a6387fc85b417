import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { MongoClient, ReadPreference, WriteConcern } from "mongodb"
import { vi } from "vitest"
import { CausalToken } from "../../src/CausalToken.js"
import { secureRandom } from "../../src/internal/driver/random.js"
import * as DriverSession from "../../src/internal/driver/session.js"
import * as SessionOptions from "../../src/SessionOptions.js"

describe("the random source", () => {
  it("is tried where it is another one than before", () => {
    const isSecure = secureRandom()
    expect(isSecure()).toBe(true)
    for (
      const broken of [undefined, () => new Uint8Array(0), () => {
        throw new Error("none")
      }]
    ) {
      vi.stubGlobal("crypto", { getRandomValues: broken })
      expect([isSecure(), isSecure()]).toEqual([false, false])
      vi.unstubAllGlobals()
      expect(isSecure()).toBe(true)
    }
    vi.stubGlobal("crypto", { getRandomValues: undefined })
    expect(secureRandom()()).toBe(false)
    vi.unstubAllGlobals()
  })
})

describe("options for the driver", () => {
  const decoded = (input: SessionOptions.SessionOptions) => Effect.runSync(SessionOptions.decode(input))
  const full = decoded({
    defaultTransactionOptions: {
      readConcern: "majority",
      writeConcern: { w: "zone", journal: true, wtimeout: "2 seconds" },
      readPreference: { mode: "nearest", tags: [{ dc: "east" }], maxStalenessSeconds: 90 },
      maxCommitTime: "3 seconds"
    }
  })

  it("session options become the driver's, in its units", () => {
    expect(DriverSession.sessionOptions(full)).toEqual({
      causalConsistency: true,
      snapshot: false,
      defaultTransactionOptions: {
        readConcern: { level: "majority" },
        writeConcern: WriteConcern.fromOptions({
          writeConcern: { w: "zone", journal: true, wtimeoutMS: 2_000 } as never
        }),
        readPreference: new ReadPreference("nearest", [{ dc: "east" }], { maxStalenessSeconds: 90 }),
        maxCommitTimeMS: 3_000
      }
    })
    expect(DriverSession.sessionOptions(decoded({ snapshot: true }))).toEqual({
      causalConsistency: false,
      snapshot: true
    })
  })

  it("each call makes a fresh read concern, for the driver writes into it", () => {
    const first = DriverSession.sessionOptions(full).defaultTransactionOptions?.readConcern
    const second = DriverSession.sessionOptions(full).defaultTransactionOptions?.readConcern
    expect(first).toEqual(second)
    expect(first).not.toBe(second)
  })
})

describe("causal times", () => {
  const token = new CausalToken({
    operationTime: Option.some(0xffff_ffff_0000_0001n),
    clusterTime: Option.some({ time: 7_000_000_000_000_000_000n, hash: new Uint8Array(20).fill(7), keyId: -5n })
  })

  it("a session advanced to a token has that token, and an earlier one does not take it back", async () => {
    const client = new MongoClient("mongodb://localhost")
    const session = client.startSession()
    DriverSession.advance(session, token)
    expect(DriverSession.causalTokenOf(session)).toEqual(token)
    DriverSession.advance(session, new CausalToken({ operationTime: Option.some(1n), clusterTime: Option.none() }))
    expect(DriverSession.causalTokenOf(session)).toEqual(token)
    await client.close()
  })
})
