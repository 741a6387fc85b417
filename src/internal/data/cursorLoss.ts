/**
 * Why the server no longer has a cursor, as far as the client's clock can tell: with a session that was idle for too long
 * the server ends its cursors, and says of them only that they are gone.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import type * as Session from "../../Session.js"
import { key } from "../session/gate.js"
import * as Lane from "../session/lane.js"
import * as Time from "../time/clock.js"
import type { OperationError, Placed } from "./operation.js"

/** When the server had last heard of a session before a command of it, and by which use that is known. */
interface Heard {
  readonly at: Time.Instant
  readonly lastUse: number
}

/** Runs what reads from a cursor, and says of one that is lost whether its session may have lapsed. */
export const explained = <A>(
  { client, session }: Placed,
  read: (noteTurn: (session: Driver.ClientSession) => void) => Effect.Effect<A, OperationError>
): Effect.Effect<A, OperationError> =>
  Option.match(session, {
    onNone: () => read(() => undefined),
    onSome: (service) =>
      Effect.flatMap(heard(service), ({ at, lastUse }) => {
        // Where others have used it while this one waited for its turn, it was alive.
        let isSo = false
        const noteTurn = ({ serverSession }: Driver.ClientSession): void => {
          isSo = Math.ceil(serverSession.lastUse) === lastUse
        }
        return Effect.catchIf(read(noteTurn), isLost, (error) =>
          Effect.flatMap(Effect.zip(Time.now, client.sessionTimeout), ([now, timeout]) => {
            const hasLapsed = Option.exists(timeout, (limit) => Time.hasLapsed(Time.elapsed(at, now), limit))
            return Effect.fail(isSo && hasLapsed ? withHint(error) : error)
          }))
      })
  })

const heard = (session: Session.Service): Effect.Effect<Heard> =>
  Effect.map(Effect.zip(Time.now, session.idle), ([now, idle]) => ({
    // An operation in flight, whose use is noted when it is over.
    at: Lane.isBusy(session[key].lane) ? now : Time.before(now, Duration.toMillis(idle)),
    // While an operation is in flight of which nothing was sent, it is a fraction less.
    lastUse: Math.ceil(session[key].session.serverSession.lastUse)
  }))

const isLost = (error: OperationError): error is MongoError =>
  error._tag === "MongoError" && (error.code === 43 || error.code === 237)

const withHint = ({ cause, code, codeName, labels, namespace, operation, reason }: MongoError): MongoError =>
  new MongoError({ reason, operation, namespace, code, codeName, labels, cause, hint })

/** The loss of a cursor together with its session, which was renewed since. */
export const renewed = (operation: string, namespace: string): MongoError =>
  new MongoError({ reason: "CursorLost", operation, namespace, labels: [], hint })

const hint =
  "By the client's clock the session of the cursor had lapsed, and the server ends the cursors of a session " +
  "with it. Leave `keepAlive` on, and run the stream again."
