/**
 * Finds executables, temporary folders and free ports on this machine.
 */
import * as Effect from "effect/Effect"
import { randomInt } from "node:crypto"
import * as FileSystem from "node:fs"
import * as Net from "node:net"
import * as OperatingSystem from "node:os"
import * as Path from "node:path"

/** Whether the file can be executed. */
export const isExecutable = (path: string): boolean => {
  try {
    FileSystem.accessSync(path, FileSystem.constants.X_OK)
    return FileSystem.statSync(path).isFile()
  } catch {
    return false
  }
}

/** The first executable of that name on the `PATH`. */
export const onPath = (name: string): string | undefined => {
  const file = process.platform === "win32" ? `${name}.exe` : name
  return (process.env["PATH"] ?? "").split(Path.delimiter).map((folder) => Path.join(folder, file)).find(isExecutable)
}

const inMemory = "/dev/shm"

const gibibyte = 2 ** 30

/** The folder for temporary data: in memory where there is room for that many members, else the system's. */
export const temporaryParent = (members: number): string => {
  try {
    const { bavail, bsize } = FileSystem.statfsSync(inMemory)
    FileSystem.accessSync(inMemory, FileSystem.constants.W_OK)
    if (bavail * bsize >= (1 + members) * gibibyte) return inMemory
  } catch {
    // the system has no such folder
  }
  return OperatingSystem.tmpdir()
}

/**
 * Free ports on 127.0.0.1, below those that systems give to outgoing connections: a member that is down for a while
 * must find its port free when it comes back.
 */
export const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.promise(async () => {
    const found = new Set<number>()
    while (found.size < count) {
      const port = randomInt(20_000, 32_000)
      if (await isFree(port)) found.add(port)
    }
    return [...found]
  })

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = Net.createServer()
    server.once("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  })
