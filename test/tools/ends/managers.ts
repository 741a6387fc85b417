// The package managers besides npm: what the README tells a new user to do, done with each.
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Managers from "../../new-user/managers.js"
import * as Counts from "../counts.js"
import * as Group from "../group.js"
import { type End, failed, root } from "./end.js"

const run = async (name: string): Promise<Counts.Counts> => {
  const folder = mkdtempSync(join(tmpdir(), `effect-mongo-session-${name}-`))
  try {
    const file = join(folder, "counts.json")
    const problem = await Group.execute("npm", ["run", "--silent", "new-user", "--", name], {
      cwd: root,
      env: { [Counts.variable]: file }
    })
    const counts = existsSync(file) ? Counts.read(file) : failed(name, problem ?? "it ended without a result")
    return problem === undefined || counts.failed.length > 0 ? counts : failed(name, problem)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export const managers: ReadonlyArray<End> = Managers.others.map(({ name, version }) => ({
  name,
  versions: { [name]: version },
  stages: ["new-user"],
  run: () => run(name)
}))
