import { describe, expect, it } from "@effect/vitest"
import type * as Driver from "mongodb"
import { lending } from "../../src/internal/driver/lent.js"

/** A session that is looked at, and nothing else. */
const session = () =>
  ({
    hasEnded: false,
    snapshotEnabled: false,
    client: {},
    inTransaction: () => false,
    isPinned: false,
    owner: undefined
  }) as unknown as Driver.ClientSession & {
    readonly client: unknown
    readonly isPinned: boolean
    readonly owner: unknown
  }

type Session = ReturnType<typeof session>

/** What the driver looks at when an operation begins, when it ends, and when a cursor is closed. */
const begin = (of: Session) => [of.hasEnded, of.snapshotEnabled, of.client, of.inTransaction(), of.isPinned]
const end = (of: Session) => of.owner
const close = (of: Session) => [of.owner, of.inTransaction()]

const lent = (evaluate: (of: Session) => Promise<unknown>, unused = () => {}) =>
  lending((of) => evaluate(of as Session), {
    client: { s: { activeCursors: [] } } as unknown as Driver.MongoClient,
    calling: (call) => call(),
    unused,
    refused: () => {}
  })(session(), new AbortController())

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

describe("a driver session that is lent", () => {
  it("is given back when nothing is in flight, though cursors have ended and were closed meanwhile", async () => {
    const seen: Array<string> = []
    let insertEnds = () => {}
    const use = lent(async (of) => {
      begin(of)
      insertEnds = () => {
        seen.push("insert ended")
        end(of)
      }
      begin(of)
      end(of)
      await turn()
      close(of)
      await turn()
      close(of)
      throw new Error("early")
    }).then(() => seen.push("given back"), () => seen.push("given back"))
    for (let n = 0; n < 9; n++) await turn()
    expect(seen).toEqual([])
    insertEnds()
    await use
    expect(seen).toEqual(["insert ended", "given back"])
  })

  it("is given back at once where what was in flight has ended, and the next operation looked at it by itself", async () => {
    expect(
      await lent(async (of) => {
        begin(of)
        end(of)
        await turn()
        of.inTransaction()
        begin(of)
        end(of)
        return "done"
      })
    ).toBe("done")
  })

  it("refuses what is begun later, and shows all else", async () => {
    let kept: Session | undefined
    await lent(async (of) => {
      kept = of
    })
    expect(() => kept && begin(kept)).toThrow("is over")
    expect(kept?.hasEnded).toBe(false)
  })
})
