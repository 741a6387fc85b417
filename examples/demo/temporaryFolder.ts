/** A folder for the temporary files of this program and of those that it starts: what they leave behind is seen there. */
import * as Effect from "effect/Effect"
import * as FileSystem from "node:fs"
import * as OperatingSystem from "node:os"
import * as Path from "node:path"

const variables = ["TMPDIR", "TMP", "TEMP"]

export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => {
    const path = FileSystem.mkdtempSync(Path.join(OperatingSystem.tmpdir(), "effect-mongo-session-demo-"))
    for (const variable of variables) process.env[variable] = path
    return path
  }),
  (path) => Effect.sync(() => FileSystem.rmSync(path, { recursive: true, force: true }))
)
