import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import {
  type Asked,
  askedBy,
  doesWrite,
  endingOf,
  forbiddenStageOf,
  isAllowedCommand,
  type Place,
  violation
} from "../../src/internal/data/rules.js"
import { InvalidInTransaction } from "../../src/SessionErrors.js"

const read: Asked = { operation: "find", kind: "read", inTransaction: true }
const write: Asked = { operation: "insertOne", kind: "write", inTransaction: true }
const plain: Place = { session: "plain", writeConcerns: [] }
const transaction: Place = { session: "transaction", writeConcerns: [] }

const unacknowledged = (source: string, operation = "insertOne") => ({ _tag: "UnacknowledgedWrite", operation, source })
const invalid = (option: string, operation = "find") => ({ _tag: "InvalidInTransaction", operation, option })

interface Case {
  readonly title: string
  readonly asked: Asked
  readonly place: Place
  readonly expected: object | undefined
}

const concerns = (
  collection: Place["writeConcerns"][number]["concern"],
  client?: Place["writeConcerns"][number]["concern"]
): Place["writeConcerns"] => [{ source: "collection", concern: collection }, { source: "client", concern: client }]

const cases: ReadonlyArray<Case> = [
  { title: "a read in a session", asked: read, place: plain, expected: undefined },
  { title: "a write in a session", asked: write, place: plain, expected: undefined },
  { title: "a read in a transaction", asked: read, place: transaction, expected: undefined },
  { title: "a write in a transaction", asked: write, place: transaction, expected: undefined },
  ...["linearizable", "available"].flatMap((causalLevel): ReadonlyArray<Case> => {
    const causal: Place = { ...plain, causalLevel }
    const refused = { _tag: "MongoError", reason: "InvalidOptions", hint: expect.stringContaining("Session.detached") }
    const command: Asked = { ...read, operation: "command" }
    const title = (what: string) => `${what} in a causally consistent session with the read concern ${causalLevel}`
    return [
      { title: title("a read"), asked: read, place: causal, expected: refused },
      { title: title("a write"), asked: write, place: causal, expected: undefined },
      {
        title: title("what has no read concern"),
        asked: { ...read, inTransaction: false },
        place: causal,
        expected: undefined
      },
      {
        title: title("a command with one of its own"),
        asked: { ...command, readConcern: { level: causalLevel } },
        place: causal,
        expected: refused
      },
      { title: title("a command without one of its own"), asked: command, place: causal, expected: undefined },
      {
        title: `a read in a transaction, where ${causalLevel} is not in force`,
        asked: read,
        place: { ...transaction, causalLevel },
        expected: undefined
      }
    ]
  }),
  {
    title: "a read in a causally consistent session with another read concern",
    asked: read,
    place: { ...plain, causalLevel: "majority" },
    expected: undefined
  },
  {
    title: "an operation that no transaction allows, in a transaction",
    asked: { ...read, operation: "listIndexes", inTransaction: false },
    place: transaction,
    expected: invalid("listIndexes", "listIndexes")
  },
  {
    title: "an operation that no transaction allows, in a session",
    asked: { ...read, operation: "listIndexes", inTransaction: false },
    place: plain,
    expected: undefined
  },
  {
    title: "an estimated count in a session, which it knows nothing of",
    asked: { ...read, operation: "estimatedDocumentCount", inTransaction: false },
    place: plain,
    expected: { ...invalid("estimatedDocumentCount", "estimatedDocumentCount"), place: "session" }
  },
  {
    title: "an estimated count in a transaction",
    asked: { ...read, operation: "estimatedDocumentCount", inTransaction: false },
    place: transaction,
    expected: invalid("estimatedDocumentCount", "estimatedDocumentCount")
  },
  {
    title: "a read concern of its own in a session",
    asked: { ...read, readConcern: "majority" },
    place: plain,
    expected: undefined
  },
  {
    title: "a read concern of its own in a transaction",
    asked: { ...read, readConcern: { level: "majority" } },
    place: transaction,
    expected: invalid("readConcern")
  },
  {
    title: "a write concern of its own in a session",
    asked: { ...write, writeConcern: { w: "majority" } },
    place: plain,
    expected: undefined
  },
  {
    title: "a write concern of its own in a transaction",
    asked: { ...write, writeConcern: { w: "majority" } },
    place: transaction,
    expected: invalid("writeConcern", "insertOne")
  },
  {
    title: "w: 0 of its own",
    asked: { ...write, writeConcern: { w: 0 } },
    place: plain,
    expected: unacknowledged("operation")
  },
  {
    title: "w: 0 of its own in a transaction",
    asked: { ...write, writeConcern: { w: 0 } },
    place: transaction,
    expected: unacknowledged("operation")
  },
  {
    title: "w: 0 of the collection",
    asked: write,
    place: { ...plain, writeConcerns: concerns({ w: 0 }) },
    expected: unacknowledged("collection")
  },
  {
    title: "w: 0 of the collection in a transaction, whose own write concern is in force",
    asked: write,
    place: { ...transaction, writeConcerns: concerns({ w: 0 }, { w: 0 }) },
    expected: undefined
  },
  {
    title: "w: 0 of the client",
    asked: write,
    place: { ...plain, writeConcerns: concerns(undefined, { w: 0 }) },
    expected: unacknowledged("client")
  },
  {
    title: "w: 0 of the collection, in whose place the operation has put a better one",
    asked: { ...write, writeConcern: { w: 1 } },
    place: { ...plain, writeConcerns: concerns({ w: 0 }) },
    expected: undefined
  },
  {
    title: "w: 0 of the client, in whose place the collection has put a better one",
    asked: write,
    place: { ...plain, writeConcerns: concerns({ w: "majority" }, { w: 0 }) },
    expected: undefined
  },
  {
    title: "a read on a collection with w: 0, which is about writes",
    asked: read,
    place: { ...plain, writeConcerns: concerns({ w: 0 }, { w: 0 }) },
    expected: undefined
  },
  {
    title: "a secondary read in a session",
    asked: { ...read, readPreference: "secondary" },
    place: plain,
    expected: undefined
  },
  {
    title: "a secondary read in a transaction",
    asked: { ...read, readPreference: "secondary" },
    place: transaction,
    expected: invalid("readPreference")
  },
  {
    title: "a secondary read in a transaction, by an object of the driver",
    asked: { ...read, readPreference: { mode: "nearest" } },
    place: transaction,
    expected: invalid("readPreference")
  },
  {
    title: "a time limit of its own in a session",
    asked: { ...read, timeout: 100 },
    place: plain,
    expected: undefined
  },
  {
    title: "a time limit of its own in a transaction",
    asked: { ...read, timeout: 100 },
    place: transaction,
    expected: invalid("timeout")
  },
  {
    title: "a primary read in a transaction",
    asked: { ...read, readPreference: { mode: "primary" } },
    place: transaction,
    expected: undefined
  },
  {
    title: "a read in a transaction on a collection that is read from secondaries",
    asked: read,
    place: { ...transaction, readPreference: { mode: "secondary" } },
    expected: { ...invalid("readPreference"), source: "collection" }
  },
  {
    title: "a read in a transaction that is to read from secondaries",
    asked: read,
    place: { ...transaction, transactionReadPreference: { mode: "secondary" } },
    expected: { ...invalid("readPreference"), source: "transaction" }
  },
  {
    title: "a read in a transaction that is to read from secondaries, on a collection that is read from the primary",
    asked: read,
    place: { ...transaction, readPreference: "primary", transactionReadPreference: "secondary" },
    expected: { ...invalid("readPreference"), source: "transaction" }
  },
  {
    title: "a primary read in a transaction that is to read from secondaries",
    asked: { ...read, readPreference: "primary" },
    place: { ...transaction, transactionReadPreference: "secondary" },
    expected: { ...invalid("readPreference"), source: "transaction" }
  },
  {
    title: "a secondary read in a transaction that is to read from secondaries",
    asked: { ...read, readPreference: "nearest" },
    place: { ...transaction, transactionReadPreference: "secondary" },
    expected: invalid("readPreference")
  },
  {
    title: "a write in a transaction that is to read from secondaries",
    asked: write,
    place: { ...transaction, transactionReadPreference: "secondary" },
    expected: undefined
  },
  {
    title: "a primary read in a transaction on a collection that is read from secondaries",
    asked: { ...read, readPreference: "primary" },
    place: { ...transaction, readPreference: "secondary" },
    expected: undefined
  },
  {
    title: "a write in a transaction on a collection that is read from secondaries",
    asked: write,
    place: { ...transaction, readPreference: "secondary" },
    expected: undefined
  },
  {
    title: "a stage that writes, in a session",
    asked: { ...write, operation: "aggregate", forbiddenStage: "$out" },
    place: plain,
    expected: undefined
  },
  {
    title: "a stage that writes, in a transaction",
    asked: { ...write, operation: "aggregate", forbiddenStage: "$out" },
    place: transaction,
    expected: invalid("$out", "aggregate")
  }
]

describe("what an operation must not ask for", () => {
  for (const { asked, expected, place, title } of cases) {
    it(`${title}: ${expected === undefined ? "allowed" : "refused"}`, () => {
      const found = violation(asked, place)
      if (expected === undefined) expect(found).toBeUndefined()
      else expect(found).toMatchObject(expected)
    })
  }

  it("outside of transactions nothing but w: 0 and the estimated count is refused", () => {
    const anything = FastCheck.record({
      operation: FastCheck.constantFrom("find", "insertOne", "aggregate", "listIndexes", "drop"),
      kind: FastCheck.constantFrom("read" as const, "write" as const),
      inTransaction: FastCheck.boolean(),
      readConcern: FastCheck.option(FastCheck.constant({ level: "majority" }), { nil: undefined }),
      writeConcern: FastCheck.option(FastCheck.record({ w: FastCheck.constantFrom(0, 1, "majority") }), {
        nil: undefined
      }),
      readPreference: FastCheck.option(FastCheck.constantFrom("primary", "secondary"), { nil: undefined }),
      forbiddenStage: FastCheck.option(FastCheck.constant("$out"), { nil: undefined })
    })
    FastCheck.assert(FastCheck.property(anything, (asked) => {
      const isUnacknowledged = asked.kind === "write" && asked.writeConcern?.w === 0
      expect(violation(asked, plain)?._tag).toBe(isUnacknowledged ? "UnacknowledgedWrite" : undefined)
    }))
  })
})

describe("pipelines and commands", () => {
  it("the first stage that a transaction does not allow is named", () => {
    expect(forbiddenStageOf([])).toBeUndefined()
    expect(forbiddenStageOf([{ $match: { $out: 1 } }, { $group: { _id: null } }])).toBeUndefined()
    expect(forbiddenStageOf([{ $match: {} }, { $merge: "there" }])).toBe("$merge")
    expect(forbiddenStageOf([{ $currentOp: {} }, { $out: "there" }])).toBe("$currentOp")
  })

  it("only $out and $merge write", () => {
    expect(doesWrite([{ $match: {} }, { $out: "there" }])).toBe(true)
    expect(doesWrite([{ $merge: "there" }])).toBe(true)
    expect(doesWrite([{ $match: { $out: 1 } }, { $currentOp: {} }])).toBe(false)
    for (const stage of [{ toBSON: () => ({ $out: "there" }) }, new Map([["$out", "there"]])]) {
      expect(doesWrite([stage])).toBe(true)
      expect(forbiddenStageOf([stage])).toBe("$out")
    }
  })

  it("a command is judged by its first field, which is its name", () => {
    expect(isAllowedCommand({ find: "drop" })).toBe(true)
    expect(isAllowedCommand({ insert: "a", drop: "b" })).toBe(true)
    expect(isAllowedCommand({ drop: "find" })).toBe(false)
    expect(isAllowedCommand({ count: "find" })).toBe(false)
    expect(isAllowedCommand({})).toBe(true)
    for (const name of ["endSessions", "killSessions", "killAllSessions", "killAllSessionsByPattern"]) {
      expect(isAllowedCommand({ [name]: [] })).toBe(false)
    }
  })

  it("a command that would end or prepare a transaction is refused in any session, whatever comes before its name", () => {
    const endings = ["commitTransaction", "abortTransaction", "prepareTransaction", "coordinateCommitTransaction"]
    for (const name of endings) {
      for (const command of [{ [name]: 1 }, { ping: undefined, [name]: 1 }]) {
        expect(endingOf(command)).toBe(name)
        const asked = askedBy({ name: "command", kind: "read", command })
        for (const session of ["plain", "transaction"] as const) {
          expect(violation(asked, { session, writeConcerns: [] }))
            .toEqual(new InvalidInTransaction({ operation: "command", option: name, place: "session" }))
        }
      }
    }
    expect(endingOf({ find: "commitTransaction" })).toBeUndefined()
    const error = new InvalidInTransaction({ operation: "command", option: "commitTransaction" })
    expect(error.message).toBe("command: commitTransaction is not allowed in a session")
    expect(error.hint).toContain("Transaction.commit")
  })
})
