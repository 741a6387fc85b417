/**
 * Watches what the driver does for a session and tells nobody: whether a server has answered, and what.
 *
 * One function stands in for a method of the driver's until the watch is over.
 */
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import { isDriverFailure, toMongoError } from "./errors.js"
import { ofSession, type Server, topologyOf, type Transaction } from "./privates.js"

/**
 * Watches whether the server answers in a session, whatever it says: a member of a set tells its operation time in each answer.
 * To be asked once, which ends it.
 */
export const watchAnswer = (session: Driver.ClientSession): () => boolean => {
  let isAnswered = false
  const putBack = replace(session, "advanceOperationTime", (advance) => (time) => {
    isAnswered = true
    advance.call(session, time)
  })
  return () => {
    putBack()
    return isAnswered
  }
}

/**
 * Calls the listener when the first command of a transaction was answered, or failed. What has sent nothing is not to listen any
 * more when the next operation does: that one's own mark would be another's.
 */
export const onceBegun = (transaction: Transaction, listener: () => void): () => void => {
  const putBack = replace(transaction, "transition", (transition) => (state) => {
    listener()
    putBack()
    transition.call(transaction, state)
  })
  return putBack
}

/**
 * Watches whether the driver sends a commit for the second time: it unpins the session by force before, and tells nothing of the
 * first. To be asked at the end.
 */
export const watchRepetition = (session: Driver.ClientSession): () => boolean => {
  const own = ofSession(session)
  let isRepeated = false
  const putBack = replace(own, "unpin", (unpin) => (options) => {
    unpin.call(session, options)
    if (options?.force === true) isRepeated = true
  })
  return () => {
    putBack()
    return isRepeated
  }
}

/** How the last command of an abort has ended; none where none was sent, or it goes on, or nobody knows. */
export type AbortEnd = "done" | MongoError | undefined

/**
 * Watches what the server says of an abort, which the driver passes over in silence. To be asked once.
 *
 * The driver finds the server by the client of the session, and the client's topology. For the abort alone, others stand in for
 * these, whose servers tell how a command has ended.
 */
export const watchAbort = (session: Driver.ClientSession): () => AbortEnd => {
  let last: AbortEnd
  const tell = (end: AbortEnd) => void (last = end)
  const putBack = replace(
    session,
    "abortTransaction",
    (abort) => (options) => abort.call(telling(session, tell), options)
  )
  return () => {
    putBack()
    return last
  }
}

const telling = (session: Driver.ClientSession, tell: (end: AbortEnd) => void): Driver.ClientSession => {
  const { client } = ofSession(session)
  const topology = topologyOf(client)
  if (topology === undefined) return session
  const heard = (server: Server): Server =>
    standIn(server, "command", (...args: ReadonlyArray<unknown>) => {
      tell(undefined)
      const reply = server.command(...args)
      reply.then(
        () => tell("done"),
        (error: unknown) =>
          tell(isDriverFailure(error) ? toMongoError({ operation: "abortTransaction" }, error) : undefined)
      )
      return reply
    })
  const found = standIn(
    topology,
    "selectServer",
    (...args: ReadonlyArray<unknown>) => topology.selectServer(...args).then(heard)
  )
  return standIn(session, "client", standIn(client, "topology", found))
}

// The same thing, but for one field. Never written to the thing itself, which others may use meanwhile.
const standIn = <O extends object>(of: O, name: string, value: unknown): O =>
  new Proxy(of, { get: (target, key): unknown => key === name ? value : Reflect.get(target, key) })

// Puts another function in the place of a method, and gives what puts the method back, unless a third is there by then. Put back, not
// deleted: V8 is slow with an object that has lost a property.
const replace = <O extends object, K extends keyof O>(of: O, name: K, by: (method: O[K]) => O[K]): () => void => {
  const method = of[name]
  const own = by(method)
  of[name] = own
  return () => {
    if (of[name] === own) of[name] = method
  }
}
