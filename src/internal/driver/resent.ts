/**
 * Tells whether a write that has failed in the end may have happened before. The driver sends a write again whose answer is
 * lost, and where that fails, too, it tells of the last failure alone: that no server was found, or that the server is overloaded.
 */
import * as Driver from "mongodb"
import { Label, type MongoError } from "../../MongoError.js"
import { failedConcernOf, failedWritesOf } from "../values/details.js"
import { isDriverFailure, toMongoError } from "./errors.js"
import { endImplicit, openImplicit } from "./privates.js"
import { marked } from "./understood.js"

/** Runs a write in a session. `isSent` says whether a command of it was sent, `broken` how many connections have broken. */
export const resent = async <A>(
  { serverSession: server }: Driver.ClientSession,
  broken: () => number,
  isSent: () => boolean,
  evaluate: () => PromiseLike<A>
): Promise<A> => {
  const before = broken()
  // The driver marks the server session when a connection breaks, but not where the monitor has cut it off.
  const isLost = server.isDirty ? noticing(server) : () => server.isDirty
  try {
    const result = await evaluate()
    isLost()
    return result
  } catch (error) {
    throw told(marked(error), isSent(), isLost() || broken() > before)
  }
}

/** Runs a write in an implicit session, as the driver does where it is given none. */
export const resentAlone = async <A>(
  client: Driver.MongoClient,
  broken: () => number,
  evaluate: (session: Driver.ClientSession) => PromiseLike<A>
): Promise<A> => {
  const before = broken()
  const session = openImplicit(client)
  let isSent = false
  if (!Object.hasOwn(session, "serverSession")) {
    Object.defineProperty(session, "serverSession", {
      configurable: true,
      get: () => {
        // What sends a command takes a server session from the pool.
        isSent = true
        Reflect.deleteProperty(session, "serverSession")
        return session.serverSession
      }
    })
  }
  const end = session.endSession.bind(session)
  // A client that closes ends what is not sent yet, too, and would take a server session for that.
  session.endSession = async (options) => isSent ? end(options) : endImplicit(session)
  try {
    return await evaluate(session)
  } catch (error) {
    throw told(marked(error), isSent, isSent && session.serverSession.isDirty || broken() > before)
  } finally {
    await session.endSession()
  }
}

// Whether a connection has broken, of a session in which one had before. To be asked once, which ends it.
const noticing = (server: Driver.ServerSession): () => boolean => {
  let isLost = false
  const shape = { configurable: true, enumerable: true }
  Object.defineProperty(server, "isDirty", { ...shape, get: () => true, set: () => void (isLost = true) })
  return () => {
    Object.defineProperty(server, "isDirty", { ...shape, writable: true, value: true })
    return isLost
  }
}

const told = (error: unknown, isSent: boolean, isLost: boolean): unknown => {
  if (!isSent || !isDriverFailure(error)) return error
  // A command that tells of each of its writes is an answer.
  if (isBulk(error) && (failedWritesOf(error).length > 0 || failedConcernOf(error) !== undefined)) return error
  const failure = toMongoError({ operation: "write" }, error)
  return isUnsent(failure) || isLost && !isAnswer(failure) ? lost(error) : error
}

const isBulk = ({ name }: Error): boolean => name === "MongoBulkWriteError" || name === ofClient

const ofClient = "MongoClientBulkWriteError"

// Of what was sent before, the driver tells nothing then.
const isUnsent = ({ code, reason }: MongoError): boolean => code === undefined && unsent.has(reason)

const unsent: ReadonlySet<MongoError["reason"]> = new Set<MongoError["reason"]>([
  "ServerSelectionFailed",
  "PoolFailure",
  "ConnectionClosed"
])

// Whether it tells of all attempts: the server answers a second one by what has become of the first.
const isAnswer = (failure: MongoError): boolean =>
  failure.hasLabel(Label.NoWritesPerformed) || answers.has(failure.reason)

const answers: ReadonlySet<MongoError["reason"]> = new Set<MongoError["reason"]>([
  ...["NetworkError", "WriteConcernFailed", "DuplicateKey", "DocumentInvalid", "DocumentTooLarge"] as const,
  ...["ImmutableField", "InvalidOptions", "WriteConflict"] as const
])

// A bulk keeps what it has done.
const lost = (error: Error): Error => {
  const isOfClient = error.name === ofClient
  const cause = isOfClient ? error.cause as Error : error
  const unanswered = new Driver.MongoNetworkError("an earlier attempt of the write has no answer", { cause })
  if (isOfClient) {
    return Object.defineProperty(error, "cause", { value: unanswered, configurable: true, writable: true })
  }
  return isBulk(error) && "result" in error
    ? new Driver.MongoBulkWriteError(unanswered, error.result as Driver.BulkWriteResult)
    : unanswered
}
