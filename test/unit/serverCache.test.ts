import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as FileSystem from "node:fs"
import * as OperatingSystem from "node:os"
import * as Path from "node:path"
import * as Cache from "../../src/testing/internal/cache.js"
import * as Owner from "../../src/testing/internal/owner.js"
import * as Processes from "../support/programs/processes.js"

const lockFile = Effect.map(Processes.temporaryFolder, (folder) => Path.join(folder, "thing.lock"))

// the clock of a test starts in 1970, and the file system's does not
const setClockTo = (path: string) => TestClock.setTime(FileSystem.statSync(path).mtimeMs)

const locked = Effect.map(lockFile, (path) => {
  FileSystem.writeFileSync(path, Owner.nameOf(process.ppid))
  return path
})

const dead = 4194303

// of a container or machine with which this one shares the folder
const elsewhere = (pid: number) => `${pid} another-machine pid:[4026531836]`

it("a process is named by what stays the same while the machine runs, on Linux not by the name of the machine", () => {
  const boot = "/proc/sys/kernel/random/boot_id"
  const machine = FileSystem.existsSync(boot)
    ? FileSystem.readFileSync(boot, "utf8").trim()
    : OperatingSystem.hostname()
  assert.strictEqual(Owner.nameOf(1).split(" ")[1], machine)
})

describe("the lock of the server cache", () => {
  it.scoped("is not taken from a process that lives", () =>
    Effect.gen(function*() {
      const path = yield* locked
      yield* setClockTo(path)
      yield* TestClock.adjust("59 seconds")
      assert.isFalse(yield* Effect.scoped(Cache.tryLock(path)))
      assert.strictEqual(yield* Cache.holder(path), `process ${process.ppid}`)
    }))

  it.scoped("is taken from a process that lives but has shown no sign of it for a minute: its number is another's", () =>
    Effect.gen(function*() {
      const path = yield* locked
      yield* setClockTo(path)
      yield* TestClock.adjust("61 seconds")
      assert.isTrue(yield* Effect.scoped(Cache.tryLock(path)))
    }))

  it.scoped("is taken from a process that is dead", () =>
    Effect.gen(function*() {
      const path = yield* lockFile
      FileSystem.writeFileSync(path, Owner.nameOf(dead))
      yield* setClockTo(path)
      assert.isTrue(yield* Effect.scoped(Cache.tryLock(path)))
    }))

  it.scoped("is taken from a process elsewhere, whose number says nothing here, only when it is silent", () =>
    Effect.gen(function*() {
      const path = yield* lockFile
      FileSystem.writeFileSync(path, elsewhere(dead))
      yield* setClockTo(path)
      assert.isFalse(yield* Effect.scoped(Cache.tryLock(path)))
      yield* TestClock.adjust("61 seconds")
      assert.isTrue(yield* Effect.scoped(Cache.tryLock(path)))
    }))

  it.scoped("is not taken while its holder's number is being written", () =>
    Effect.gen(function*() {
      const path = yield* lockFile
      FileSystem.writeFileSync(path, "")
      yield* setClockTo(path)
      assert.isFalse(yield* Effect.scoped(Cache.tryLock(path)))
      assert.strictEqual(yield* Cache.holder(path), "another process")
    }))

  it.scoped("is held until the scope closes, however long that takes, then given back", () =>
    Effect.gen(function*() {
      const path = yield* lockFile
      yield* setClockTo(Path.dirname(path))
      yield* Effect.scoped(Effect.gen(function*() {
        assert.isTrue(yield* Cache.tryLock(path))
        yield* TestClock.adjust("10 minutes")
        assert.isFalse(yield* Effect.scoped(Cache.tryLock(path)))
        assert.isTrue(FileSystem.existsSync(path))
      }))
      assert.isFalse(FileSystem.existsSync(path))
    }))

  it.scoped("that somebody else has taken over meanwhile is left to them", () =>
    Effect.gen(function*() {
      const path = yield* lockFile
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Cache.tryLock(path)
        FileSystem.writeFileSync(path, Owner.nameOf(process.ppid))
      }))
      assert.strictEqual(FileSystem.readFileSync(path, "utf8"), Owner.nameOf(process.ppid))
    }))

  it.scoped("that a process elsewhere has taken over, which has the same number, is left to it", () =>
    Effect.gen(function*() {
      const path = yield* lockFile
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Cache.tryLock(path)
        FileSystem.writeFileSync(path, elsewhere(process.pid))
      }))
      assert.strictEqual(FileSystem.readFileSync(path, "utf8"), elsewhere(process.pid))
    }))

  it.scoped("fails where nothing can be written", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* Processes.temporaryFolder, "missing", "thing.lock")
      const error = yield* Effect.flip(Effect.scoped(Cache.tryLock(path)))
      assert.match(error.message, /^taking a lock failed: ENOENT/)
    }))
})

describe("the memory of failures", () => {
  it.scoped("lasts for a day and not longer", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      yield* Cache.rememberFailure(folder, "download-1", "no network")
      yield* TestClock.adjust("23 hours")
      assert.strictEqual(Option.getOrThrow(yield* Cache.rememberedFailure(folder, "download-1")), "no network")
      assert.isTrue(Option.isNone(yield* Cache.rememberedFailure(folder, "download-2")))
      yield* TestClock.adjust("1 hour")
      assert.isTrue(Option.isNone(yield* Cache.rememberedFailure(folder, "download-1")))
    }))

  it.scoped("is gone when it is to be forgotten, and nothing when it is damaged", () =>
    Effect.gen(function*() {
      const folder = yield* Processes.temporaryFolder
      yield* Cache.rememberFailure(folder, "download", "no network")
      yield* Cache.forgetFailure(folder, "download")
      assert.isTrue(Option.isNone(yield* Cache.rememberedFailure(folder, "download")))
      yield* Cache.rememberFailure(folder, "download", "no network")
      const [name] = yield* Processes.entries(folder)
      FileSystem.writeFileSync(Path.join(folder, name ?? ""), "{")
      assert.isTrue(Option.isNone(yield* Cache.rememberedFailure(folder, "download")))
    }))
})
