/**
 * Writes to an output, at the pace of whoever reads it.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/** What this needs of an output. */
export interface Output {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  readonly rows?: number | undefined
  readonly write: (text: string, done: (error?: Error | null) => void) => unknown
}

/** An output that takes nothing any more: nobody reads it, or its disk is full. */
export class Unwritable extends Data.TaggedError("Unwritable")<{ readonly code: string }> {
  /** Whether its reader has gone, as `head` does when it has enough. */
  get isUnread(): boolean {
    return gone.has(this.code)
  }

  override get message(): string {
    return `the output cannot be written (${this.code})`
  }
}

// A socket may say that it was reset, and every write after the first one finds the stream closed.
const gone: ReadonlySet<string> = new Set(["EPIPE", "ECONNRESET", "ERR_STREAM_DESTROYED"])

/** Writes a text, and waits until the system has taken it: nothing piles up for a reader that is slow, or does not read. */
export const write = (output: Output, text: string): Effect.Effect<void, Unwritable> =>
  Effect.async((resume) => {
    output.write(text, (error) => resume(error ? Effect.fail(new Unwritable({ code: codeOf(error) })) : Effect.void))
  })

const codeOf = (error: Error): string => "code" in error && typeof error.code === "string" ? error.code : error.name
