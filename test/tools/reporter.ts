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

/** Counts what the default reporter does not put into words: failed hooks, files that did not load, reasons to skip. */
export const reporter: Reporter = {
  onTestRunEnd(modules, unhandled) {
    let passed = 0
    let failed = unhandled.length
    const skipped: Array<Counts.Counts["skipped"][number]> = []
    for (const module of modules) {
      failed += module.errors().length
      for (const suite of module.children.allSuites()) failed += suite.errors().length
      for (const test of module.children.allTests()) {
        const result = test.result()
        if (result.state === "passed") passed++
        else if (result.state !== "skipped" || hookFailed(test)) failed++
        else {
          skipped.push({
            test: `${relative(process.cwd(), module.moduleId)} > ${test.fullName}`,
            reason: test.meta().skipReason ?? result.note ?? "no reason given"
          })
        }
      }
    }
    for (const { reason, test } of skipped) console.log(`skipped: ${test} — ${reason}`)
    Counts.write({ passed, failed, skipped })
  }
}
