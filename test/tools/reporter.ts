import { relative } from "node:path"
import type { Reporter, TestCase } from "vitest/node"
import * as Counts from "./counts.js"

declare module "vitest" {
  interface TaskMeta {
    /** Why a test was skipped; `context.skip(reason)` called inside an Effect loses its reason on the way. */
    skipReason?: string
  }
}

/** A hook that fails leaves the tests after it marked as skipped, which nobody has asked for. */
const hookFailed = (test: TestCase): boolean => {
  let parent = test.parent
  while (parent.type === "suite" && parent.errors().length === 0) parent = parent.parent
  return parent.errors().length > 0
}

const line = ({ message }: { readonly message: string }): string =>
  // Of a property the seed and the counterexample are told: it may not fail again for days.
  message.startsWith("Property failed")
    ? message.replace(/\s*\n\s*/g, " ").slice(0, 3000)
    : message.split("\n", 1).join("").slice(0, 300)

/** Counts what the default reporter does not put into words: failed hooks, files that did not load, reasons to skip. */
export const reporter: Reporter = {
  onTestRunEnd(modules, unhandled) {
    let passed = 0
    const failed: Array<Counts.Noted> = unhandled.map((error) => ({
      test: "outside of the tests",
      reason: line(error)
    }))
    const skipped: Array<Counts.Noted> = []
    for (const module of modules) {
      const file = relative(process.cwd(), module.moduleId)
      for (const error of module.errors()) failed.push({ test: file, reason: line(error) })
      for (const suite of module.children.allSuites()) {
        for (const error of suite.errors()) failed.push({ test: `${file} > ${suite.fullName}`, reason: line(error) })
      }
      for (const test of module.children.allTests()) {
        const result = test.result()
        const name = `${file} > ${test.fullName}`
        if (result.state === "passed") passed++
        else if (result.state !== "skipped") {
          failed.push({ test: name, reason: result.errors?.map(line).join("; ") ?? "it was not run" })
        } else if (hookFailed(test)) failed.push({ test: name, reason: "a hook before it failed" })
        else skipped.push({ test: name, reason: test.meta().skipReason ?? result.note ?? "no reason given" })
      }
    }
    for (const { reason, test } of skipped) console.log(`skipped: ${test} — ${reason}`)
    Counts.write({ passed, failed, skipped })
  }
}
