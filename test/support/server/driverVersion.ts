/**
 * Skips tests that hold for some versions of the driver only.
 */
import { createRequire } from "node:module"
import type { TestContext } from "vitest"

const { version } = createRequire(import.meta.url)("mongodb/package.json") as { readonly version: string }

const isOlder = version.startsWith("6.")

/** Skips a test of what only version 7 of the driver does, and says what an older one does. */
export const needsDriver7 = (context: TestContext, older: string): void => {
  if (!isOlder) return
  const reason = `the driver is ${version}: ${older}`
  context.task.meta.skipReason = reason
  context.skip(reason)
}
