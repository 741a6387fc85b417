/**
 * A server for each worker of a run, so that files that run side by side do not meet in fail points.
 */
import type { TestProject } from "vitest/node"
import { setup, type Shared } from "../../../src/testing/vitest.js"

declare module "vitest" {
  export interface ProvidedContext {
    /** None in a project that has another setup. */
    readonly testServers: ReadonlyArray<Shared> | undefined
  }
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  const workers = Number(project.vitest.config.maxWorkers ?? 1)
  const servers: Array<Shared> = []
  const collect: Pick<TestProject, "provide"> = {
    provide: (key, shared) => {
      if (servers.length === 0) project.provide(key, shared)
      servers.push(shared as Shared)
    }
  }
  const stops = await Promise.all(Array.from({ length: workers }, () => setup()(collect)))
  project.provide("testServers", servers)
  return async () => {
    await Promise.all(stops.map((stop) => stop()))
  }
}
