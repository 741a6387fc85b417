/**
 * The common parts of the ways to get a server.
 */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Progress } from "./progress.js"

/** Why one way did not lead to a server. */
export class WayFailed extends Data.TaggedError("WayFailed")<{
  /** What went wrong, in words. */
  readonly reason: string
  /** What to do about it. */
  readonly fix: string
  /** The last lines that the server or installer printed. */
  readonly output?: ReadonlyArray<string> | undefined
  /** The code with which a server refused something. */
  readonly code?: unknown
  /** Whether it took long and trying again soon is of no use. */
  readonly isLasting?: boolean | undefined
}> {
  override get message(): string {
    return this.reason
  }
}

/** What a way fails with that failed less than a day ago. */
export const remembered = (way: string) => ({ reason }: { readonly reason: string }): WayFailed =>
  new WayFailed({
    reason: `${reason} (remembered, not tried again for a day)`,
    fix: `set MONGO_SERVER=${way} to try again now`
  })

/**
 * The user that a server with access control knows, with the role `root` in the database `admin`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credentials {
  readonly username: string
  readonly password: string
}

/**
 * The certificates of a server that talks TLS: paths of PEM files.
 *
 * @since 0.1.0
 * @category options
 */
export interface Tls {
  /** The server's certificate, valid for `127.0.0.1`, and its private key. The server's `url` presents it, too. */
  readonly certificateKeyFile: string
  /** The certificate of the authority that has signed it. */
  readonly caFile: string
}

/** What a way is asked for. */
export interface Wanted {
  readonly credentials: Option.Option<Credentials>
  readonly port: Option.Option<number>
  readonly storagePath: Option.Option<string>
  /** The folder under which temporary ones are made. */
  readonly parent: string
  readonly members: number
  readonly standalone: boolean
  readonly tls: Option.Option<Tls>
  readonly parameters: Readonly<Record<string, string | number | boolean>>
  readonly startTimeout: Duration.DurationInput
  readonly cache: string
  readonly progress: Progress
}

/** The connection string with this user, or with none. */
export const withUser = (url: string, credentials: Option.Option<Credentials>): string =>
  url.replace(/^(mongodb(?:\+srv)?:\/\/)(?:[^@/]*@)?/, (_, scheme: string) =>
    Option.match(credentials, {
      onNone: () => scheme,
      onSome: ({ password, username }) => `${scheme}${encodeURIComponent(username)}:${encodeURIComponent(password)}@`
    }))

/** Runs a part in a scope of its own, closed at once if it fails or is interrupted, and with the outer one otherwise. */
export const undoneOnFailure = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const outer = yield* Effect.scope
      const inner = yield* Scope.make()
      const exit = yield* Effect.exit(restore(Scope.extend(effect, inner)))
      if (Exit.isFailure(exit)) {
        yield* Scope.close(inner, exit)
        return yield* exit
      }
      yield* Scope.addFinalizerExit(outer, (outerExit) => Scope.close(inner, outerExit))
      return exit.value
    })
  )
