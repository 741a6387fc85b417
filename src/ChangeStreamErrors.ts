/**
 * The errors of those who follow change streams. Also exported by `SessionErrors`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import { render } from "./internal/values/render.js"

/**
 * Another consumer of the same name was started, and has taken over; this one has stopped before it did anything that the
 * other one does, too.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConsumerReplaced extends Data.TaggedError("ConsumerReplaced")<{
  /** The name that both have. */
  readonly consumer: string
}> {
  override get message(): string {
    return `another consumer named ${this.consumer} has taken over`
  }
  get hint(): string {
    return "Run one consumer of a name at a time; do not start this one again while the other is meant to run, for that " +
      "would stop it in turn."
  }
  override toJSON(): object {
    return render(this, { consumer: this.consumer })
  }
}
