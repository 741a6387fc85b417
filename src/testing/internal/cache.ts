/**
 * The folder in which servers and memories of failures are kept between runs, and the lock that keeps two processes
 * from making the same thing twice.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as FileSystem from "node:fs"
import * as OperatingSystem from "node:os"
import * as Path from "node:path"
import * as Owner from "./owner.js"

/** The cache could not be used. */
export class CacheFailed extends Data.TaggedError("CacheFailed")<{
  readonly doing: string
  readonly cause: unknown
  readonly isLasting?: never
}> {
  override get message(): string {
    return `${this.doing} failed: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

/** The cache folder: the given one, else beside the nearest `node_modules`, else the user's own. */
export const folder = (given: Option.Option<string>): Effect.Effect<string, CacheFailed> =>
  attempt("making the cache folder", () => {
    const path = Option.getOrElse(given, () => Path.join(nearestCache(process.cwd()), "effect-mongo-session"))
    FileSystem.mkdirSync(path, { recursive: true })
    return Path.resolve(path)
  })

/** Runs a file system operation. */
export const attempt = <A>(doing: string, operation: () => A): Effect.Effect<A, CacheFailed> =>
  Effect.try({ try: operation, catch: (cause) => new CacheFailed({ doing, cause }) })

const nearestCache = (start: string): string => {
  const here = Path.join(start, "node_modules")
  if (FileSystem.existsSync(here)) return Path.join(here, ".cache")
  const parent = Path.dirname(start)
  if (parent !== start) return nearestCache(parent)
  return process.env["XDG_CACHE_HOME"] ?? Path.join(OperatingSystem.homedir(), ".cache")
}

const Failure = Schema.parseJson(Schema.Struct({ at: Schema.Number, reason: Schema.String }))

const rememberedFor = Duration.days(1)

const memoryPath = (cache: string, key: string) => Path.join(cache, `${key}.failed.json`)

/** It did not work when it was last tried, less than a day ago. */
export class Remembered extends Data.TaggedError("Remembered")<{ readonly reason: string }> {}

/** Fails at once with what failed less than a day ago; remembers a lasting failure, and forgets it after a success. */
export const remembering = <A, E extends { readonly isLasting?: boolean | undefined; readonly message: string }>(
  cache: string,
  key: string,
  retry: boolean,
  effect: Effect.Effect<A, E>
): Effect.Effect<A, E | Remembered> =>
  Effect.gen(function*() {
    const failure = retry ? Option.none() : yield* rememberedFailure(cache, key)
    if (Option.isSome(failure)) return yield* new Remembered({ reason: failure.value })
    const result = yield* Effect.tapError(
      effect,
      ({ isLasting, message }) => isLasting === true ? rememberFailure(cache, key, message) : Effect.void
    )
    yield* forgetFailure(cache, key)
    return result
  })

/** Remembers for a day that something did not work. */
export const rememberFailure = (cache: string, key: string, reason: string): Effect.Effect<void> =>
  Clock.currentTimeMillis.pipe(
    Effect.flatMap((at) => Schema.encode(Failure)({ at, reason })),
    Effect.flatMap((text) =>
      attempt("remembering a failure", () => FileSystem.writeFileSync(memoryPath(cache, key), text))
    ),
    // without the memory the next start is slower, nothing else
    Effect.ignore
  )

/** Why it did not work when it was last tried, if that is less than a day ago. */
export const rememberedFailure = (cache: string, key: string): Effect.Effect<Option.Option<string>> =>
  Effect.gen(function*() {
    const text = yield* attempt("reading", () => FileSystem.readFileSync(memoryPath(cache, key), "utf8"))
    const failure = yield* Schema.decode(Failure)(text)
    const ago = Duration.millis((yield* Clock.currentTimeMillis) - failure.at)
    return Duration.lessThan(ago, rememberedFor) ? Option.some(failure.reason) : Option.none()
  }).pipe(Effect.orElseSucceed(Option.none))

/** Forgets the failure. */
export const forgetFailure = (cache: string, key: string): Effect.Effect<void> =>
  Effect.sync(() => FileSystem.rmSync(memoryPath(cache, key), { force: true }))

/**
 * Takes the lock file unless somebody living has it; says whether it did.
 *
 * The lock saves work only. What is made under it must be put in place by an atomic rename, so that it does no harm
 * when two processes take over the same dead holder's lock in the same moment.
 */
export const tryLock = (path: string): Effect.Effect<boolean, CacheFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const taken = yield* Effect.acquireRelease(
      attempt("taking a lock", () => create(path) || (isDead(path, now) && takeOver(path, now))),
      (mine) => mine ? Effect.ignore(attempt("giving a lock back", () => giveBack(path))) : Effect.void
    )
    if (!taken) return false
    yield* Effect.acquireRelease(Effect.forkDaemon(Effect.interruptible(beat(path))), Fiber.interrupt)
    return true
  })

/** The process that has the lock, as far as the file says. */
export const holder = (path: string): Effect.Effect<string> =>
  Effect.sync(() => {
    const pid = Owner.numberIn(readHolder(path))
    return Number.isNaN(pid) ? "another process" : `process ${pid}`
  })

const silentFor = Duration.toMillis("1 minute")

// a living holder is told by it from a process that got a dead holder's number
const beat = (path: string) =>
  Clock.currentTimeMillis.pipe(
    Effect.flatMap((now) => attempt("keeping a lock", () => FileSystem.utimesSync(path, new Date(now), new Date(now)))),
    Effect.ignore,
    Effect.repeat(Schedule.spaced("5 seconds"))
  )

const create = (path: string): boolean => {
  try {
    FileSystem.writeFileSync(path, `${Owner.nameOf(process.pid)}\n`, { flag: "wx" })
    return true
  } catch (error) {
    if (isNodeError(error) && error.code === "EEXIST") return false
    throw error
  }
}

// moved aside before it is looked at again: of two that find the same dead lock, the slower moves the quicker one's
const takeOver = (path: string, now: number): boolean => {
  const aside = `${path}.${process.pid}`
  try {
    FileSystem.renameSync(path, aside)
  } catch {
    return create(path)
  }
  if (!isDead(aside, now)) {
    FileSystem.renameSync(aside, path)
    return false
  }
  FileSystem.rmSync(aside, { force: true })
  return create(path)
}

const giveBack = (path: string): void => {
  if (Owner.isSelf(readHolder(path))) FileSystem.rmSync(path, { force: true })
}

const readHolder = (path: string): string => {
  try {
    return FileSystem.readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

const isDead = (path: string, now: number): boolean => {
  const written = FileSystem.statSync(path, { throwIfNoEntry: false })
  if (written === undefined) return true
  // a lock without a name is being written at this moment
  return now - written.mtimeMs > silentFor || Owner.isGone(readHolder(path))
}

const isNodeError = (error: unknown): error is NodeJS.ErrnoException => error instanceof Error && "code" in error
