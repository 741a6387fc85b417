import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { MongoClient } from "mongodb"
import { vi } from "vitest"
import { arms, options } from "../../bench/arms/index.js"
import { replies } from "../../bench/replies.js"
import { type Scene, withArms } from "../../bench/scene.js"
import * as Responder from "../support/server/responder.js"

// The benchmark measures the library as it is built; who has which client is seen in its sources as well.
vi.mock("../../bench/library.js", () => import("../../src/index.js"))

type Group = keyof typeof arms

// 10,000 sessions take too long here.
const groups = (Object.keys(arms) as Array<Group>).filter((group) => group !== "keepAlive")

const accounts = Array.from({ length: 10 }, (_, _id) => ({ _id, balance: 1000 }))

const handlersOf = (group: Group) => {
  const all = replies(group === "stream" ? 1000 : 1)
  if (group !== "bank") return all
  return { ...all, find: { cursor: { id: 0n, ns: "test.accounts", firstBatch: accounts } } }
}

const listeners = (driver: MongoClient) =>
  driver.eventNames().filter((name) => String(name).startsWith("connection") || String(name).startsWith("topology"))

const kindOf = (arm: string) =>
  arm === "raw" || arm === "control" || arm === "guarded" ? arm : arm.startsWith("bare") ? "bare" : "ours"

/** The connections on which each kind of arm sent commands. */
const connections = (group: Group) =>
  Effect.scoped(Effect.gen(function*() {
    const responder = yield* Responder.make({ handlers: handlersOf(group) })
    const used = new Map<string, Set<number>>()
    yield* withArms(responder.url, options[group] ?? {}, arms[group], async (made) => {
      for (const { name, run } of made) {
        await Effect.runPromise(responder.clear)
        await run(group === "stream" ? 2000 : 40)
        const ids = (await Effect.runPromise(responder.commands)).map(({ connectionId }) => connectionId)
        used.set(kindOf(name), new Set([...used.get(kindOf(name)) ?? [], ...ids]))
      }
    })
    return used
  }))

/** A scene as arms get it. */
const inScene = (use: (scene: Scene) => void) =>
  Effect.scoped(Effect.gen(function*() {
    const { url } = yield* Responder.make()
    yield* withArms(url, {}, (scene) => Effect.as(Effect.sync(() => use(scene)), []), () => Promise.resolve())
  }))

describe("the arms of the benchmark", () => {
  it.effect("that are not the library's have clients that it does not listen to", () =>
    inScene(({ client, drivers }) => {
      expect(Object.keys(drivers)).toEqual(["raw", "control", "bare", "guarded"])
      expect(Object.values(drivers).map(listeners)).toEqual([[], [], [], []])
      expect(new Set([client.driver, ...Object.values(drivers)]).size).toBe(5)
    }))

  it.effect("have clients of the same options", () =>
    inScene(({ client, drivers }) => {
      const of = ({ options: { hosts: _, ...given } }: MongoClient) => JSON.stringify(given)
      expect(new Set([client.driver, ...Object.values(drivers)].map(of)).size).toBe(1)
    }))

  for (const group of groups) {
    it.live(`do not share a connection with another kind: ${group}`, () =>
      Effect.gen(function*() {
        const used = yield* connections(group)
        const all = [...used.values()].flatMap((ids) => [...ids])
        expect([...used.keys()]).toEqual(expect.arrayContaining(["raw", "control", "ours"]))
        expect(new Set(all).size).toBe(all.length)
        // Driver sessions that are opened and closed unused send nothing.
        if (group !== "openClose") expect([...used.values()].every((ids) => ids.size > 0)).toBe(true)
      }))
  }
})
