// Wheels of the Python Package Index, each pinned by its hash.
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { kept, quietly, Unavailable } from "./store.js"

export interface Wheel {
  readonly requirement: string
  readonly sha256: string
  /** What the wheel is for, where that is not what this runs on. */
  readonly platform?: string
  readonly python?: string
}

/** The folder with what a wheel holds, which is fetched first if need be. */
export const unpacked = (wheel: Wheel, cache: string): Promise<string> =>
  kept(cache, `${wheel.requirement.replace("==", "-")}-${wheel.sha256.slice(0, 8)}`, async (folder) => {
    const requirements = join(folder, "requirements.txt")
    writeFileSync(requirements, `${wheel.requirement} --hash=sha256:${wheel.sha256}\n`)
    await quietly(process.env["PYTHON"] ?? "python3", [
      ...["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-compile"],
      ...["--no-deps", "--only-binary=:all:", "--require-hashes", "--target", folder, "-r", requirements],
      ...option("--platform", wheel.platform),
      ...option("--python-version", wheel.python)
    ], { log: join(folder, "pip.log"), env: { PIP_ROOT_USER_ACTION: "ignore" } }).catch((error) => {
      const isForged = error instanceof Unavailable && error.printed.includes("DO NOT MATCH THE HASHES")
      throw isForged
        ? new Error(`${wheel.requirement} is another file than the pinned one: its SHA-256 differs`)
        : error
    })
    rmSync(requirements)
  })

const option = (name: string, value: string | undefined): ReadonlyArray<string> =>
  value === undefined ? [] : [name, value]
