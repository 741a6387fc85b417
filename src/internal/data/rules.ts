/**
 * What an operation must not ask for where it is run: in a session, in a transaction, in a snapshot. Found before any IO;
 * the driver drops most of it in silence.
 *
 * See the specifications "Transactions", "Driver Sessions", "Causal Consistency" and "Snapshot Reads".
 */
import type { MongoError } from "../../MongoError.js"
import { InvalidInTransaction, UnacknowledgedWrite } from "../../SessionErrors.js"
import { invalid } from "../driver/errors.js"
import { tried } from "../values/fault.js"
import { isDocument, namesOf } from "./objects.js"
import { optionOf } from "./options.js"
import type { Request } from "./request.js"
import { saidBy } from "./walk.js"

/** What an operation brings along. */
export interface Asked {
  /** What it is called, e.g. `find`. */
  readonly operation: string
  /** Whether it reads or writes; only writes are acknowledged. */
  readonly kind: "read" | "write"
  /** Whether the specification allows it in a transaction at all. */
  readonly inTransaction: boolean
  readonly readConcern?: unknown
  readonly writeConcern?: unknown
  readonly readPreference?: unknown
  /** A time limit of its own. */
  readonly timeout?: unknown
  /** The first stage of a pipeline that a transaction does not allow. */
  readonly forbiddenStage?: string | undefined
  /** The command that would end or prepare a transaction of the session, if it is one. */
  readonly ending?: string | undefined
}

/** Where it is run: in a session, and that in a transaction or not. */
export interface Place {
  readonly session: "plain" | "transaction"
  /** The write concerns that are set elsewhere, the nearest first, and where. */
  readonly writeConcerns: ReadonlyArray<{ readonly source: UnacknowledgedWrite["source"]; readonly concern: unknown }>
  /** The read preference of the collection or database. */
  readonly readPreference?: unknown
  /** The read preference of the transaction. */
  readonly transactionReadPreference?: unknown
  /** The read concern level that is in force in a causally consistent session, wherever it is set. */
  readonly causalLevel?: string | undefined
}

/** What is wrong with an operation where it is run, if anything. */
export const violation = (
  asked: Asked,
  place: Place
): InvalidInTransaction | UnacknowledgedWrite | MongoError | undefined => {
  const { ending, operation } = asked
  if (ending !== undefined) return new InvalidInTransaction({ operation, option: ending, ...inSession })
  if (!asked.inTransaction && (place.session === "transaction" || sessionless.has(operation))) {
    return new InvalidInTransaction({ operation, option: operation, ...(place.session === "plain" && inSession) })
  }
  if (asked.kind === "write") {
    // The nearest write concern is the one that holds; in a transaction, that is the transaction's own.
    const own = { source: "operation", concern: asked.writeConcern } as const
    const effective = own.concern !== undefined
      ? own
      : place.session === "transaction"
      ? undefined
      : place.writeConcerns.find(({ concern }) => concern !== undefined)
    if (effective !== undefined && wOf(effective.concern) === 0) {
      return new UnacknowledgedWrite({ operation, source: effective.source })
    }
  }
  if (place.session === "plain") return hasNoOrder(asked, place) ? withoutOrder(operation) : undefined
  const source = otherThanPrimary(asked, place)
  const option = asked.readConcern !== undefined
    ? "readConcern"
    : asked.writeConcern !== undefined
    ? "writeConcern"
    : source !== undefined
    ? "readPreference"
    : asked.timeout !== undefined
    ? "timeout"
    : asked.forbiddenStage
  if (option === undefined) return undefined
  const isInherited = option === "readPreference" && source !== "operation"
  return new InvalidInTransaction({ operation, option, ...(isInherited && { source }) })
}

// Where a read preference is set that a transaction does not allow. The transaction's own is in force, whatever is set nearer.
const otherThanPrimary = (
  { kind, readPreference: own }: Asked,
  { readPreference: around, transactionReadPreference }: Place
): "operation" | NonNullable<InvalidInTransaction["source"]> | undefined => {
  const isOther = (preference: unknown) => preference !== undefined && modeOf(preference) !== "primary"
  if (isOther(own)) return "operation"
  if (kind === "write") return undefined
  if (own === undefined && isOther(around)) return "collection"
  return isOther(transactionReadPreference) ? "transaction" : undefined
}

// Of what runs in no transaction either, nothing has a read concern; and of a command only that which is written in it.
const hasNoOrder = ({ inTransaction, kind, operation, readConcern }: Asked, { causalLevel }: Place): boolean =>
  kind === "read" && inTransaction && causalLevel !== undefined && withoutCausality.has(causalLevel) &&
  (readConcern !== undefined || !commands.has(operation))

// The server refuses them together with a time to read after, which the driver sends from the second operation on.
const withoutCausality: ReadonlySet<string> = new Set(["linearizable", "available"])

const commands: ReadonlySet<string> = new Set(["command", "runCursorCommand"])

const withoutOrder = (operation: string): MongoError =>
  invalid(
    operation,
    "A causally consistent session cannot read with the read concern `linearizable` or `available`. Set another one, " +
      "open the session with `causalConsistency: false`, or read outside of it with `Session.detached`."
  )

const inSession = { place: "session" } as const

// It counts by metadata that no session knows of.
const sessionless = new Set(["estimatedDocumentCount"])

const wOf = (concern: unknown): unknown =>
  typeof concern === "object" && concern !== null && "w" in concern ? concern.w : concern

const modeOf = (preference: unknown): unknown =>
  typeof preference === "object" && preference !== null && "mode" in preference ? preference.mode : preference

/** Whether an operation goes to the primary, wherever reads go that may go elsewhere. */
export const isOnPrimary = (
  { kind, name, own, pipeline }: {
    readonly name: string
    readonly kind: "read" | "write"
    readonly pipeline?: ReadonlyArray<object> | undefined
    /** The read preference that it was given. */
    readonly own: unknown
  },
  /** The read preference that is set elsewhere. */
  around: unknown
): boolean =>
  kind === "write" && pipeline === undefined ||
  modeOf(own ?? (commands.has(name) ? undefined : around) ?? "primary") === "primary"

/** What is wrong with a pipeline, if anything. */
export const problemOfPipeline = (pipeline: unknown): string | undefined =>
  tried(() => Array.isArray(pipeline) && pipeline.every((stage) => isDocument(saidBy(stage)))) === true
    ? undefined
    : "A pipeline is a list of stages, like `[{ $match: {} }]`."

/** The first stage of a pipeline that a transaction does not allow. */
export const forbiddenStageOf = (pipeline: ReadonlyArray<object>): string | undefined =>
  stagesOf(pipeline).find((stage) => forbiddenStages.has(stage))

/** Whether a pipeline writes its result into a collection. */
export const doesWrite = (pipeline: ReadonlyArray<object>): boolean =>
  stagesOf(pipeline).some((stage) => stage === "$out" || stage === "$merge")

// As they are sent, whatever says so.
const stagesOf = (pipeline: ReadonlyArray<unknown>): ReadonlyArray<string> =>
  pipeline.flatMap((stage) => namesOf(Object(saidBy(stage))))

/** Whether a transaction allows a command, as far as that can be told from its name; the server knows the rest. */
export const isAllowedCommand = (command: object): boolean => !forbiddenCommands.has(Object.keys(command)[0] ?? "")

/** The name of the command by which a command would end or prepare a transaction, if there is one among its fields. */
export const endingOf = (command: object): string | undefined => Object.keys(command).find((name) => endings.has(name))

// The server knows them by no other names. They may come after a field that is left out.
const endings: ReadonlySet<string> = new Set([
  "abortTransaction",
  "commitTransaction",
  "coordinateCommitTransaction",
  "prepareTransaction"
])

const forbiddenStages = new Set([
  "$changeStream",
  "$collStats",
  "$currentOp",
  "$indexStats",
  "$listLocalSessions",
  "$listSessions",
  "$merge",
  "$out",
  "$planCacheStats"
])

const forbiddenCommands = new Set([
  "collMod",
  "collStats",
  "count",
  "dbStats",
  "drop",
  "dropDatabase",
  "dropIndexes",
  "endSessions",
  "explain",
  "killAllSessions",
  "killAllSessionsByPattern",
  "killSessions",
  "listCollections",
  "listDatabases",
  "listIndexes",
  "mapReduce",
  "renameCollection"
])

/** What a request asks for. */
export const askedBy = ({ command, inTransaction = true, kind, name, options, pipeline }: Request): Asked => ({
  operation: name,
  // A command that brings a write concern along writes.
  kind: optionOf(options, "writeConcern") === undefined ? kind : "write",
  inTransaction,
  readConcern: optionOf(options, "readConcern"),
  writeConcern: optionOf(options, "writeConcern"),
  readPreference: optionOf(options, "readPreference"),
  timeout: optionOf(options, "timeout") ?? optionOf(options, "timeoutMS"),
  forbiddenStage: pipeline && forbiddenStageOf(pipeline),
  ending: command && endingOf(command)
})
