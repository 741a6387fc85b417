import { afterEach, describe, expect, it } from "@effect/vitest"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { kept, quietly, Unavailable } from "../tools/mongods/store.js"

describe("a folder of the cache", () => {
  const cache = mkdtempSync(join(tmpdir(), "effect-mongo-session-store-"))
  afterEach(() => rmSync(cache, { recursive: true, force: true }))

  const write = (text: string) => (folder: string) => {
    writeFileSync(join(folder, "it"), text)
    return Promise.resolve()
  }

  it("is made once", async () => {
    const folder = await kept(cache, "thing", write("first"))
    expect(await kept(cache, "thing", write("second"))).toBe(folder)
    expect(readFileSync(join(folder, "it"), "utf8")).toBe("first")
    expect(readdirSync(cache)).toEqual(["thing"])
  })

  it("is not there when its making fails, and is made the next time", async () => {
    const failing = (folder: string) =>
      write("half")(folder).then(() => Promise.reject(new Unavailable("there is no network")))
    await expect(kept(cache, "thing", failing)).rejects.toThrow("there is no network")
    expect(readdirSync(cache)).toEqual([])
    expect(existsSync(join(await kept(cache, "thing", write("whole")), "it"))).toBe(true)
  })

  it("is that of another process which was quicker", async () => {
    const folder = await kept(cache, "thing", async (unfinished) => {
      await write("slow")(unfinished)
      mkdirSync(join(cache, "thing"))
      await write("quick")(join(cache, "thing"))
    })
    expect(readFileSync(join(folder, "it"), "utf8")).toBe("quick")
    expect(readdirSync(cache)).toEqual(["thing"])
  })

  it("removes what a process has left that was killed, and no other's", async () => {
    const dead = 2 ** 22 + 1
    for (const name of [`thing.${dead}.tmp`, `thing.${process.ppid}.tmp`, `other.${dead}.tmp`]) {
      mkdirSync(join(cache, name), { recursive: true })
    }
    await kept(cache, "thing", write("whole"))
    expect(readdirSync(cache).sort()).toEqual([`other.${dead}.tmp`, "thing", `thing.${process.ppid}.tmp`].sort())
  })
})

describe("a command in silence", () => {
  const log = join(tmpdir(), `effect-mongo-session-store-${process.pid}.log`)
  const node = (program: string) => quietly(process.execPath, ["-e", program], { log })

  it("gives what it printed", async () => {
    expect(await node("console.log('here')")).toBe("here\n")
    expect(existsSync(log)).toBe(false)
  })

  it("is not available with what it said last, where it ends badly or is not there", async () => {
    await expect(node("console.error('no network\\n'); process.exit(3)"))
      .rejects.toThrow(new Unavailable("node ended with exit code 3: no network", "no network\n\n"))
    await expect(quietly("no-such-command", [], { log })).rejects.toThrow(/no-such-command .*ENOENT/)
  })
})
