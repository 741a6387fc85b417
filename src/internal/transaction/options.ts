/**
 * The options of `Transaction.run`, of a sandbox, and of manual control, and how they are decoded.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import type { MongoError } from "../../MongoError.js"
import { SessionMisconfigured } from "../../SessionErrors.js"
import * as SessionOptions from "../../SessionOptions.js"
import type * as Telemetry from "../../Telemetry.js"
import * as TransactionOptions from "../../TransactionOptions.js"
import type * as MongoClient from "../session/client.js"
import { below, decoder, issuesIn } from "../values/options.js"
import { fields } from "../values/transactionOptions.js"
import * as Backoff from "./backoff.js"

/**
 * What `run` does with regard to a transaction around it.
 *
 * - `required`: joins it; without one, starts one
 * - `requiresNew`: starts one of its own in a session of its own, which is committed or rolled back by itself
 * - `mandatory`: joins it; without one, fails with `TransactionRequired`
 * - `never`: fails with `TransactionForbidden`; without one, runs the effect without a transaction
 *
 * @since 0.1.0
 * @category options
 */
export type Propagation = "required" | "requiresNew" | "mandatory" | "never"

/**
 * How to run a transaction.
 *
 * A part that joins a transaction takes that one's options, and says by its own what it needs: concerns that are at least
 * as strong as its own, the same `readPreference` and `maxCommitTime`; else it fails with `IncompatibleJoin`, which tells
 * both values. `snapshot` is stronger than `majority`, and that than `local`; a write concern `majority` than a number of
 * members. A transaction without a write concern is committed with that of its first part that has one, or a majority where that is a number; in a sandbox it
 * does not matter. The `timeout` of a part holds for its own operations, as far as the transaction has as much time left.
 * Its `retry`, `onRetry`, `verifyCommit` and `session` mean nothing.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<
  Client = MongoClient.MongoClient,
  VR = never,
  OR = never,
  P extends Propagation | undefined = Propagation | undefined
> extends TransactionOptions.TransactionOptions, MongoClient.ClientOption<Client> {
  /** What to do with regard to a transaction around this one. Default `required`. */
  readonly propagation?: P
  /**
   * When to run the body again, and how often. Its input is the failure; the time limit holds in any case. A schedule whose
   * own effects take longer than `settleTimeout` ends the retries. Default `Transaction.queued`.
   */
  readonly retry?: Schedule.Schedule<unknown, MongoError> | undefined
  /**
   * `serializable` locks what the body reads by `find`, `findOne`, `findById`, `findByIds` and `exists`: each read first writes
   * the field `transactionLock` of all documents that its filter matches. Who reads or writes one of them in another such
   * transaction loses a conflict, and runs again. Other reads, which can't be locked, fail with `InvalidInTransaction`. A part
   * that asks for it joins no transaction without it (`IncompatibleJoin`). Default: reads are not locked.
   *
   * See the manual, "Production Considerations", section "In-progress Transactions and Stale Reads".
   */
  readonly isolation?: "serializable" | undefined
  /** The options of the session that is opened where there is none. */
  readonly session?: SessionOptions.SessionOptions | undefined
  /** Told before the body, or the commit, is run again. Runs outside of the transaction. */
  readonly onRetry?: ((retry: Telemetry.Retry) => Effect.Effect<void, never, OR>) | undefined
  /**
   * Asked when the server does not tell whether the commit happened, and when the write concern can't be satisfied:
   * `true` if it did. Runs outside of the transaction, after the commit was repeated for as long as there was time, and
   * for `settleTimeout` at most. When it says `false`, fails or takes too long, the run fails with `CommitUnknown`, as it
   * does without this option; after `false` the body is run again where the transaction can be aborted.
   */
  readonly verifyCommit?: Effect.Effect<boolean, unknown, VR> | undefined
}

/**
 * How to run a sandbox.
 *
 * @since 0.1.0
 * @category options
 */
export interface SandboxOptions<Client = MongoClient.MongoClient, OR = never>
  extends Omit<Options<Client, never, OR>, "propagation" | "verifyCommit">
{}

/**
 * How to end a transaction by hand.
 *
 * @since 0.1.0
 * @category options
 */
export interface EndOptions extends Pick<TransactionOptions.TransactionOptions, "timeout"> {}

/** Decodes the options of a run: all issues at once, before any IO. */
export const decode = <Client, VR, OR>(
  options: Options<Client, VR, OR> | undefined
): Either.Either<TransactionOptions.Decoded, SessionMisconfigured> => {
  if (options === undefined) return TransactionOptions.decode(undefined)
  const { client: _, isolation, onRetry, propagation, retry, session, verifyCommit, ...rest } = options
  const decoded = TransactionOptions.decode(rest)
  const issues = [
    ...issuesIn(decoded),
    ...(propagations.includes(propagation) ? [] : [{
      path: ["propagation"],
      message: "must be \"required\", \"requiresNew\", \"mandatory\" or \"never\""
    }]),
    ...(isolation === undefined || isolation === "serializable"
      ? []
      : [{ path: ["isolation"], message: "must be \"serializable\", or left out" }]),
    ...(retry === undefined || Schedule.isSchedule(retry) ? [] : [{ path: ["retry"], message: "expected a schedule" }]),
    ...(onRetry === undefined || typeof onRetry === "function"
      ? []
      : [{ path: ["onRetry"], message: "expected a function" }]),
    // @effect-diagnostics-next-line anyUnknownInErrorContext:off
    ...(verifyCommit === undefined || Effect.isEffect(verifyCommit)
      ? []
      : [{ path: ["verifyCommit"], message: "expected an effect" }]),
    ...below("session", issuesIn(SessionOptions.decode(session)))
  ]
  return issues.length === 0 ? decoded : Either.left(new SessionMisconfigured({ issues }))
}

const propagations: ReadonlyArray<unknown> = ["required", "requiresNew", "mandatory", "never", undefined]

/** Decodes the options of a sandbox, which takes neither `propagation` nor `verifyCommit`. */
export const decodeSandbox = <Client, OR>(
  options: SandboxOptions<Client, OR>
): Either.Either<TransactionOptions.Decoded, SessionMisconfigured> => {
  const issues = notOfSandbox.filter((name) => Reflect.get(options, name) !== undefined).map((name) => ({
    path: [name],
    message: "is not an option of a sandbox"
  }))
  const decoded = decode(options)
  return issues.length === 0 ? decoded : Either.left(
    new SessionMisconfigured({
      issues: [...issues, ...issuesIn(decoded)]
    })
  )
}

const notOfSandbox = ["propagation", "verifyCommit"] as const

/** Decodes the options of `commitWith` and `abortWith`. */
export const decodeEnd = decoder(fields.pick("timeout"), () => [])

/** What the options say of retries. */
export const planOf = <VR, OR>({ isolation, onRetry, retry = Backoff.queued, verifyCommit }: Pick<
  Options<never, VR, OR>,
  "isolation" | "retry" | "onRetry" | "verifyCommit"
>) => ({
  isSerializable: isolation === "serializable",
  retry,
  doesQueue: Backoff.doesQueue(retry),
  onRetry,
  // Whatever it fails with, it is logged; no caller needs to know the type.
  // @effect-diagnostics-next-line anyUnknownInErrorContext:off
  verifyCommit: verifyCommit && Effect.exit(verifyCommit)
})
