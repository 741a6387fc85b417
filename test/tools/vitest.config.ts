import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { reporter } from "./reporter.js"

const root = fileURLToPath(new URL("../../", import.meta.url))
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
        // Property tests take their time where the processors are busy.
        test: { name: "unit", include: ["test/unit/**/*.test.ts"], testTimeout: 30_000 }
      },
      {
        extends: true,
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          globalSetup: [globalServer],
          testTimeout: 60_000,
          hookTimeout: 60_000
        }
      }
    ]
  }
})
