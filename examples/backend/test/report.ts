// What the test claims, one line each, and whether all of it holds.
import { Console, Context, Effect, Layer, Ref } from "effect"

export class Report extends Context.Tag("backend/test/Report")<Report, {
  readonly heading: (text: string) => Effect.Effect<void>
  readonly fact: (text: string) => Effect.Effect<void>
  /** A line with a mark. One that does not hold makes the test fail. */
  readonly claim: (text: string, holds: boolean) => Effect.Effect<void>
  readonly score: Effect.Effect<{ readonly made: number; readonly broken: number }>
}>() {}

export const ReportLive = Layer.effect(
  Report,
  Effect.map(Ref.make({ made: 0, broken: 0 }), (score) => ({
    heading: (text) => Console.log(`\n${text}`),
    fact: (text) => Console.log(`  · ${text}`),
    claim: (text, holds) =>
      Console.log(`  ${holds ? "✓" : "✗ VIOLATED:"} ${text}`).pipe(
        Effect.zipRight(Ref.update(score, ({ broken, made }) => ({ made: made + 1, broken: broken + (holds ? 0 : 1) })))
      ),
    score
  }))
)

export const heading = (text: string) => Effect.flatMap(Report, (report) => report.heading(text))
export const fact = (text: string) => Effect.flatMap(Report, (report) => report.fact(text))
export const claim = (text: string, holds: boolean) => Effect.flatMap(Report, (report) => report.claim(text, holds))
