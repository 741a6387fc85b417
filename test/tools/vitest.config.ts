import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { reporter } from "./reporter.js"

const root = fileURLToPath(new URL("../../", import.meta.url))
// What never ends is to be ended. Where others have the processors, tests take ten times as long as they do alone.
const patience = 180_000
const globalServer = `${root}test/support/global-server.ts`

export default defineConfig({
  root,
  resolve: {
    alias: [
      { find: /^effect-mongo-session$/, replacement: `${root}src/index.ts` },
      { find: /^effect-mongo-session\/(.+)$/, replacement: `${root}src/$1.ts` }
    ]
  },
  test: {
    reporters: ["default", reporter],
    allowOnly: false,
    pool: "forks",
    maxWorkers: 2,
    minWorkers: 1,
    coverage: { include: ["src/**/*.ts"], reportsDirectory: "coverage" },
    projects: [
      {
        extends: true,
        test: { name: "unit", include: ["test/unit/**/*.test.ts"], testTimeout: patience }
      },
      {
        extends: true,
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          globalSetup: [globalServer],
          testTimeout: patience,
          hookTimeout: patience
        }
      }
    ]
  }
})
