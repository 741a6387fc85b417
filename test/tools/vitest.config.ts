import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { reporter } from "./reporter.js"

const root = fileURLToPath(new URL("../../", import.meta.url))
// Ends tests that hang. On a busy machine, tests take ten times as long as on an idle one.
const patience = 180_000
const support = `${root}test/support`
const limits = { testTimeout: patience, hookTimeout: patience }

export default defineConfig({
  root,
  resolve: {
    // The folder inspect may have copies of its own.
    dedupe: ["effect", "mongodb"],
    alias: [
      { find: /^effect-mongo-session$/, replacement: `${root}src/index.ts` },
      { find: /^effect-mongo-session\/(.+)$/, replacement: `${root}src/$1.ts` }
    ]
  },
  test: {
    reporters: ["default", reporter],
    allowOnly: false,
    pool: "forks",
    // Loading the library and the driver anew for each file takes longer than most files.
    isolate: false,
    setupFiles: [`${support}/vitest.ts`],
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
          include: ["test/integration/*.test.ts", "test/fire/*.test.ts"],
          globalSetup: [`${support}/server/globalServer.ts`],
          ...limits
        }
      },
      {
        extends: true,
        test: {
          // one after the other: each disturbs the set that all of them share
          name: "cluster",
          include: ["test/integration/cluster/*.test.ts"],
          globalSetup: [`${support}/server/globalSet.ts`],
          poolOptions: { forks: { singleFork: true } },
          sequence: { groupOrder: 1 },
          ...limits
        }
      }
    ]
  }
})
