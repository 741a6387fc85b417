/**
 * How often the window looks again.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 }

/** A time like `500ms`, `1s` or `2m`, of 100 ms at least. */
export const intervalOf = (text: string): Option.Option<Duration.Duration> => {
  const [, count, unit = ""] = /^(\d{1,6}(?:\.\d{1,3})?)(ms|s|m)$/.exec(text) ?? []
  const millis = Number(count) * (units[unit] ?? Number.NaN)
  return millis >= 100 ? Option.some(Duration.millis(millis)) : Option.none()
}
