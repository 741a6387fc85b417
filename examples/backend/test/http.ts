// Requests as a client sends them that does not give up: the same one, with the same key, until there is an answer for good.
import { Data, Duration, Effect, Option, Schedule, Schema } from "effect"
import type { Cart } from "../app/model.js"

/** An answer. */
export interface Answer {
  readonly status: number
  readonly text: string
  /** What its session has seen. */
  readonly token: string | undefined
}

/** There was none: the connection broke. */
export class NoAnswer extends Data.TaggedError("NoAnswer")<{ readonly cause: unknown }> {}

const send = (url: string, init: RequestInit = {}): Effect.Effect<Answer, NoAnswer> =>
  Effect.tryPromise({
    try: async (signal) => {
      const answer = await fetch(url, { ...init, signal })
      const text = await answer.text()
      return { status: answer.status, text, token: answer.headers.get("causal-token") ?? undefined }
    },
    catch: (cause) => new NoAnswer({ cause })
  })

const Tagged = Schema.parseJson(Schema.Struct({ _tag: Schema.String }))

/** The tag of an error that the API answers with. */
const tagOf = ({ text }: Answer): string =>
  Option.match(Schema.decodeUnknownOption(Tagged)(text), { onNone: () => "", onSome: ({ _tag }) => _tag })

/** Whether to ask again: for a state that passes. */
const isPassing = (answer: Answer): boolean => answer.status >= 500 || tagOf(answer) === "KeyInProgress"

export type Body = NonNullable<RequestInit["body"]>

/** Sends a body as an order. */
export const post = (url: string, key: string | undefined, body: Body, headers: Readonly<Record<string, string>>) =>
  send(`${url}/orders`, {
    method: "POST",
    body,
    duplex: "half",
    headers: { ...headers, ...(key === undefined ? {} : { "idempotency-key": `"${key}"` }) }
  })

export const order = (url: string, key: string | undefined, cart: Cart, token?: string) =>
  post(url, key, JSON.stringify(cart), {
    "content-type": "application/json",
    ...(token === undefined ? {} : { "causal-token": token })
  })

export const get = (url: string, path: string, token?: string) =>
  send(`${url}${path}`, token === undefined ? {} : { headers: { "causal-token": token } })

class Passing extends Data.TaggedError("Passing")<{ readonly answer: Answer }> {
  override get message(): string {
    return `${this.answer.status} ${tagOf(this.answer)}`.trim()
  }
}

/** Asks until there is an answer that stays. `onRetry` counts. */
export const insist = (ask: Effect.Effect<Answer, NoAnswer>, onRetry: (why: string) => void) =>
  ask.pipe(
    Effect.filterOrFail((answer) => !isPassing(answer), (answer) => new Passing({ answer })),
    Effect.tapError((why) => Effect.sync(() => onRetry(why._tag === "Passing" ? why.message : why._tag))),
    Effect.retry(
      Schedule.exponential("40 millis").pipe(
        Schedule.modifyDelay((_, delay) => Duration.min(delay, Duration.millis(500))),
        Schedule.jittered,
        Schedule.upTo("60 seconds")
      )
    ),
    Effect.option
  )
